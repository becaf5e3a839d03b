//! The ladder itself, climbed as `run` climbs it.

use super::Finding;
use crate::config::Config;
use crate::recovery::owners;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let workers = config.cores.len();
    let opened = datapath::open(&config.interface_specs(), workers, &owners(workers));
    let (datapath, _ports) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            return vec![Finding::unfit(
                "interfaces",
                error.to_string(),
                "the message names the remedy; if this server is running, ask its `status` instead",
            )];
        }
    };
    let judge = |status: &datapath::InterfaceStatus| {
        let rung = status.rung;
        match status.refused.last() {
            None => Finding::fit(&status.name, format!("a packet went round on rung {rung}")),
            Some(refusal) => Finding::hurts(
                &status.name,
                format!(
                    "a packet went round on rung {rung}; {} did not: {}",
                    refusal.rung, refusal.reason
                ),
                format!("say io = \"{rung}\" if that is the best to expect of this driver"),
            ),
        }
    };
    datapath.status().iter().map(judge).collect()
}
