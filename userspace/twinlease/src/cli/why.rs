//! `twinlease why`.

use std::io::{self, Write};

use super::WhyArgs;
use super::commands::{connect, json_line};
use crate::control::client::percent_encoded;
use crate::control::explain::DecisionView;

/// The last decisions, the latest at the end.
pub(super) async fn why(args: &WhyArgs) -> anyhow::Result<()> {
    let mut client = connect(&args.server).await?;
    let mut query = format!("/v1/why?last={}&dropped={}", args.last, args.dropped);
    if let Some(whose) = &args.whose {
        query += &format!("&whose={}", percent_encoded(whose));
    }
    query += &args.line.query();
    let decisions: Vec<DecisionView> = client.get(&query).await?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if decisions.is_empty() && !args.json {
        writeln!(
            out,
            "nothing is remembered: no such message came, or too many others since"
        )?;
    }
    for decision in &decisions {
        match args.json {
            true => json_line(&mut out, decision)?,
            false => show(&mut out, decision)?,
        }
    }
    Ok(out.flush()?)
}

fn show(out: &mut impl Write, decision: &DecisionView) -> io::Result<()> {
    let DecisionView {
        at,
        message,
        duid,
        from,
        relays,
        asked,
        link,
        subscriber,
        classes,
        passed_over,
        outcome,
        answer,
    } = decision;
    writeln!(out, "{} {message} of {duid}", at.utc)?;
    writeln!(out, "  from     {from}")?;
    for relay in relays {
        writeln!(out, "  relay    {relay}")?;
    }
    for ia in asked {
        writeln!(out, "  asked    {ia}")?;
    }
    writeln!(out, "  link     {link}")?;
    if !subscriber.is_empty() {
        writeln!(out, "  leases   of {subscriber}")?;
    }
    if !classes.is_empty() {
        writeln!(out, "  class    {}", classes.join(", "))?;
    }
    for pool in passed_over {
        writeln!(out, "  not from {pool}")?;
    }
    writeln!(out, "  outcome  {outcome}")?;
    for ia in answer {
        writeln!(out, "  answer   {ia}")?;
    }
    Ok(())
}
