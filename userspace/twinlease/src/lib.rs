#![forbid(unsafe_code)]
//! The program around the pure crates: config, command line, control socket, metrics, workers.

pub mod cli;
pub mod config;
pub mod control;
pub mod control_lane;
mod cores;
pub mod counters;
pub mod doctor;
pub mod import;
pub mod live;
pub mod logging;
pub mod metrics;
pub mod partner;
pub mod recovery;
pub mod reload;
pub mod rkap;
pub mod run;
pub mod state_dir;
pub mod stop;
pub mod worker;
