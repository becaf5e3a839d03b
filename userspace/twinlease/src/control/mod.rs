//! The control plane: what it asks of workers, and what it reports.

pub mod command;
pub mod status;
