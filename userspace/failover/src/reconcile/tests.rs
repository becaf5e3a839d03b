//! Figure 4 of RFC 8156 written as the RFC prints it, and what follows for every combination of
//! times, clients and roles, by an oracle of its own.

use super::*;
use BindingStatus as S;

const NOW: AbsTime = AbsTime(800_000_000);
/// When this server's status began.
const SINCE: AbsTime = AbsTime(799_990_000);
/// When this server last heard the client.
const HEARD: AbsTime = AbsTime(799_995_000);

const FIGURE_4: &str = "
    mine             | ACTIVE    EXPIRED  RELEASED  FREE     RESET
    ACTIVE           | accept(3) time(1)  accept    time(1)  accept
    EXPIRED          | accept    accept   accept    accept   accept
    RELEASED         | accept    accept   accept    accept   accept
    FREE             | accept    accept   accept    accept   accept
    RESET            | time(2)   accept   accept    accept   accept
    ABANDONED        | accept    accept   accept    accept   accept
";

fn of_row(name: &str) -> &'static [S] {
    match name {
        "ACTIVE" => &[S::Active],
        "EXPIRED" => &[S::Expired],
        "RELEASED" => &[S::Released],
        "FREE" => &[S::Free, S::FreeBackup, S::PendingFree],
        "RESET" => &[S::Reset],
        _ => &[S::Abandoned],
    }
}

const COLUMNS: [&[S]; 5] = [
    &[S::Active],
    &[S::Expired],
    &[S::Released],
    &[S::Free, S::FreeBackup, S::PendingFree],
    &[S::Reset, S::Abandoned],
];

/// Every cell: status here, status received, and what the figure prints.
fn cells() -> Vec<(S, S, &'static str)> {
    let mut cells = Vec::new();
    for line in FIGURE_4
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .skip(1)
    {
        let (name, row) = line.split_once('|').unwrap();
        for (column, text) in COLUMNS.iter().zip(row.split_whitespace()) {
            for &mine in of_row(name.trim()) {
                cells.extend(column.iter().map(|&theirs| (mine, theirs, text)));
            }
        }
    }
    assert_eq!(cells.len(), 8 * 8);
    cells
}

fn mine(status: S, known: Known, client_differs: bool, ends: AbsTime) -> Mine {
    Mine {
        status,
        cltt: Some(HEARD),
        status_since: SINCE,
        ends,
        known,
        client_differs,
    }
}

#[test]
fn rfc8156_figure_4() {
    for (mine, theirs, text) in cells() {
        let expected = match text {
            "accept" => Rule::Accept,
            "time(1)" => Rule::Ended,
            "time(2)" => Rule::HeardSince,
            _ => Rule::SameClientOrSecondary,
        };
        assert_eq!(rule(mine, theirs), expected, "{mine:?} {theirs:?}");
    }
}

#[test]
fn rfc8156_7_5_4_every_cell_with_every_time_client_and_role() {
    let mut seen = 0;
    for (my_status, status, text) in cells() {
        for role in [Role::Primary, Role::Secondary] {
            for client_differs in [false, true] {
                for ended in [false, true] {
                    for offset in [-6_i64, -5, 0, 5, 6] {
                        for known in [Known::OwnChange, Known::ToBoth, Known::ToNobodyElse] {
                            // Within five seconds it is not later (§7.5.1).
                            let ends = NOW.0 - SKEW_MAX_SECS - u32::from(ended);
                            let here = mine(my_status, known, client_differs, AbsTime(ends));
                            let at = AbsTime((i64::from(HEARD.0) + offset) as u32);
                            let theirs = Theirs {
                                status,
                                cltt: Some(at),
                                status_since: SINCE,
                            };
                            let not_earlier = offset >= -5 || known == Known::ToBoth;
                            let unusable = my_status == S::Abandoned
                                && !matches!(status, S::Reset | S::Abandoned);
                            let promised =
                                my_status == S::Active && matches!(status, S::Released | S::Reset);
                            let kept =
                                known == Known::OwnChange && offset < 6 && (unusable || promised);
                            let outdated = |accept| match accept {
                                true => Ok(()),
                                false => Err(Rejection::Outdated),
                            };
                            let by_times = outdated(not_earlier && !kept);
                            // The client was always heard after the status here began.
                            let both_ended = [my_status, status]
                                .iter()
                                .all(|s| !matches!(s, S::Active | S::Abandoned));
                            let expected = match text {
                                _ if both_ended => Ok(()),
                                "accept" => by_times,
                                "time(1)" => outdated(ended),
                                "time(2)" => Ok(()),
                                _ if client_differs => Ok(()),
                                _ => by_times,
                            };
                            let got = decide(role, Some(&here), &theirs, NOW);
                            assert_eq!(got, expected, "{role:?} {here:?} {theirs:?}");
                            seen += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(seen, 64 * 2 * 2 * 2 * 5 * 3);
}

#[test]
fn rfc8156_7_5_4_time_2_looks_at_when_the_status_began() {
    for (heard, fresh) in [
        (Some(SINCE), false),
        (Some(AbsTime(SINCE.0 + 1)), true),
        (None, false),
    ] {
        let theirs = Theirs {
            status: S::Active,
            cltt: heard,
            status_since: NOW,
        };
        let reset = mine(S::Reset, Known::OwnChange, false, NOW);
        for role in [Role::Primary, Role::Secondary] {
            let got = decide(role, Some(&reset), &theirs, NOW);
            assert_eq!(got.is_ok(), fresh);
        }
        let other = mine(S::Active, Known::OwnChange, true, NOW);
        let primary = decide(Role::Primary, Some(&other), &theirs, NOW);
        let in_use = Err(Rejection::AddressInUse);
        assert_eq!(primary, if fresh { Ok(()) } else { in_use });
        assert_eq!(decide(Role::Secondary, Some(&other), &theirs, NOW), Ok(()));
    }
}

#[test]
fn rfc8156_7_5_4_times_that_are_not_there() {
    // Never heard here: the start of the status counts.
    let unheard = Mine {
        cltt: None,
        ..mine(S::Released, Known::OwnChange, false, NOW)
    };
    let at = |status, cltt, status_since| Theirs {
        status,
        cltt,
        status_since,
    };
    let verdict = |theirs| decide(Role::Primary, Some(&unheard), &theirs, NOW).is_ok();
    assert!(verdict(at(S::Active, None, SINCE)));
    assert!(!verdict(at(S::Active, None, AbsTime(SINCE.0 - 6))));
    // For ACTIVE, EXPIRED and RELEASED the client's time counts, for others the later one.
    let early = Some(AbsTime(SINCE.0 - 6));
    let unheard = Mine {
        status: S::Abandoned,
        ..unheard
    };
    let verdict = |theirs| decide(Role::Primary, Some(&unheard), &theirs, NOW).is_ok();
    assert!(!verdict(at(S::Expired, early, NOW)));
    assert!(verdict(at(S::Abandoned, early, NOW)));
    assert!(verdict(at(S::Free, early, NOW)));
}

#[test]
fn an_available_lease_takes_whatever_comes() {
    for status in [S::Active, S::Expired, S::Abandoned, S::FreeBackup] {
        let theirs = Theirs {
            status,
            cltt: None,
            status_since: AbsTime(1),
        };
        assert_eq!(decide(Role::Primary, None, &theirs, NOW), Ok(()));
    }
}

#[test]
fn a_duplicate_whose_answer_was_lost_is_accepted() {
    let record = mine(S::Active, Known::OwnChange, false, NOW);
    let again = Theirs {
        status: S::Active,
        cltt: Some(HEARD),
        status_since: SINCE,
    };
    assert_eq!(decide(Role::Primary, Some(&record), &again, NOW), Ok(()));
}

/// Two servers without communications: one renews, the other only sees its clock go past the end
/// that it knows. When they meet, the renewal counts, although it is older than that moment.
#[test]
fn a_lease_that_expired_unheard_is_taken_back_by_an_earlier_renewal() {
    let record = BindingRecord {
        duid: wire::Duid::new(&[0, 3, 0, 1]).unwrap(),
        kind: wire::IaKind::Na,
        iaid: wire::Iaid(1),
        subscriber: None,
        lease: lease::Lease { addr: 1, len: 128 },
        link: lease::LinkKey(1),
        status: S::Expired,
        preferred_secs: 0,
        valid_secs: 0,
        cltt: AbsTime(0),
        status_since: NOW,
        expires: AbsTime::NEVER,
        partner: PartnerTimes {
            partner_raw_cltt: SINCE,
            unacked: true,
            ..PartnerTimes::NONE
        },
        accepts_reconfigure: false,
        via: &[],
    };
    let renewed = Theirs {
        status: S::Active,
        cltt: Some(HEARD),
        status_since: SINCE,
    };
    let mine = Mine::of(&record, false);
    assert_eq!(decide(Role::Secondary, Some(&mine), &renewed, NOW), Ok(()));
}
