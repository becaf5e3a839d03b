//! What RFC 9915 and its companions ask of a server, row by row, on the wire.
//!
//! All rows share one server, so that the table runs in seconds; each uses clients of its own.
//! `table.txt` says which rows test which duty; a duty without a row, and a row without a duty,
//! fail the test.

/// Messages that are discarded.
mod b4_validation;
/// What each message is answered with.
mod b5_duties;
/// Relay agents.
mod b6_relays;
/// Prefix delegation, and links of several pools.
mod b7_prefixes;
/// The one server and what talks to it.
mod bench;
/// Client classes.
mod classes;
/// IAs as rows write and read them.
mod ia;
/// A pool of several delegated lengths.
mod lengths;
/// Who has a lease to itself.
mod reservations;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use bench::Bench;

/// A row: its name, which begins with the RFC and section, and its test.
type Row = (&'static str, fn(&Bench) -> Result<()>);

/// Rows by the names of their functions.
macro_rules! rows {
    ($module:ident: $($name:ident),+ $(,)?) => {
        [$((stringify!($name), $module::$name as fn(&Bench) -> Result<()>)),+]
    };
}

/// The duties and their rows, a line each: `duty: row row …`; `-` where it is tested elsewhere.
const TABLE: &str = include_str!("table.txt");

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(rows!(b4_validation:
        rfc9915_16_unknown_types,
        rfc9915_16_unknown_options_are_ignored,
        rfc9915_16_truncated_options,
        rfc9915_16_unicast_from_a_client,
        rfc9915_16_2_solicit,
        rfc9915_16_4_request_renew_decline_release,
        rfc9915_16_5_confirm_and_rebind,
        rfc9915_16_12_information_request,
        rfc9915_16_3_messages_not_for_servers,
        rfc5007_4_2_1_leasequery,
        rfc9686_4_2_addr_reg_inform,
        rfc9915_21_5_ia_ta_is_ignored,
    ));
    rows.extend(rows!(b5_duties:
        rfc9915_18_3_every_answer,
        rfc9915_18_3_2_t1_and_t2_are_equal_in_all_ias,
        rfc9915_18_3_1_solicit_is_advertised,
        rfc9915_18_3_1_rapid_commit,
        rfc9915_18_3_9_hints,
        rfc9915_18_3_9_nothing_to_advertise,
        rfc9915_18_3_2_request,
        rfc9915_18_3_2_not_on_link,
        rfc9915_18_3_2_nothing_to_give,
        rfc9915_18_3_2_retransmission,
        rfc9915_18_3_3_confirm,
        rfc9915_18_3_4_renew,
        rfc9915_18_3_4_renew_of_what_is_not_known,
        rfc9915_18_3_4_renew_on_another_link,
        rfc9915_18_3_5_rebind,
        rfc9915_18_3_5_rebind_is_silent,
        rfc9915_18_3_5_rebind_of_what_is_off_link,
        rfc9915_18_3_6_information_request,
        rfc9915_18_3_7_release,
        rfc9915_18_3_8_decline,
        rfc9915_18_3_8_decline_budget,
        rfc9915_18_3_10_committed_before_told,
        rfc9915_21_7_options_on_request,
    ));
    rows.extend(rows!(b6_relays:
        rfc9915_19_3_eight_layers_in_reverse,
        rfc9915_7_6_too_many_layers,
        rfc9915_9_no_relay_message,
        rfc9915_13_1_link_addresses,
        rfc6221_zero_link_address,
        rfc4994_5_echo_request,
        rfc8357_5_2_relay_source_port,
        rfc6422_6_relay_supplied_options,
        rfc5007_4_1_2_4_relay_data_is_kept,
    ));
    rows.extend(rows!(reservations:
        rfc6939_reservation_by_link_layer_address,
        rfc4580_reservation_by_subscriber_id,
        rfc4649_reservation_by_remote_id,
        rfc9915_21_18_reservation_by_interface_id,
        options_of_a_reservation_come_before_all_others,
        several_reserved_leases_come_in_order_in_one_ia_or_in_several,
    ));
    rows.extend(rows!(b7_prefixes:
        rfc8168_3_2_prefix_length_hint,
        rfc8168_3_2_specific_prefix_first,
        rfc8168_3_2_length_is_changed_on_solicit,
        rfc8168_3_5_renew_keeps_the_prefix,
        rfc6603_4_2_excluded_prefix,
        rfc6603_6_2_release_with_another_excluded_prefix,
        rfc7550_status_inside_the_ia,
        rfc9915_6_6_same_prefix_again,
        shared_network_draws_on_all_its_links,
        rfc9915_21_4_an_address_of_each_group,
    ));
    rows.extend(rows!(lengths:
        rfc8168_3_2_lengths_of_one_pool,
        rfc8168_3_2_what_is_left_of_a_pool,
    ));
    rows.extend(rows!(classes:
        a_class_chooses_pool_and_options,
        a_lease_is_kept_until_its_class_is_refuted,
    ));
    rows
}

/// Rows of a server that binds on Renew and, because it answers Solicits at once, on Rebind.
fn rows_of_a_binding_server() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(rows!(b5_duties:
        rfc9915_18_3_4_renew_makes_a_binding,
        rfc9915_18_3_5_rebind_makes_a_binding,
    ));
    rows
}

#[test]
fn every_row_of_the_table() {
    lab::run(|lab| {
        let mut bench = Bench::new(lab)?;
        let mut failed = Vec::new();
        let mut run = |bench: &Bench, rows: Vec<Row>| {
            for (name, row) in rows {
                if let Err(error) = row(bench) {
                    failed.push(format!("{name}: {error:#}"));
                }
            }
        };
        run(&bench, rows());
        bench.bind_on_renew()?;
        run(&bench, rows_of_a_binding_server());
        let told = lengths::told(&bench)?;
        bench.crash()?;
        if let Err(error) = lengths::still_have(&bench, &told) {
            failed.push(format!(
                "prefixes of several lengths after kill -9: {error:#}"
            ));
        }
        ensure!(
            failed.is_empty(),
            "{} rows failed:\n{}",
            failed.len(),
            failed.join("\n")
        );
        Ok(())
    });
}

#[test]
fn every_duty_has_a_row_and_every_row_a_duty() {
    let all = rows().into_iter().chain(rows_of_a_binding_server());
    let mut unnamed: BTreeSet<&str> = all.map(|(name, _)| name).collect();
    let known = unnamed.clone();
    for line in TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (duty, rows) = line.split_once(": ").expect("a duty and its rows");
        assert!(!rows.trim().is_empty(), "no row for: {duty}");
        for row in rows.split_whitespace().filter(|row| *row != "-") {
            assert!(known.contains(row), "{duty}: there is no row {row}");
            unnamed.remove(row);
        }
    }
    assert!(unnamed.is_empty(), "rows without a duty: {unnamed:?}");
}
