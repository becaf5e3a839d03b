//! The control plane: what it asks of workers, what it reports, and how operators reach it.

pub mod client;
pub mod command;
pub mod explain;
mod limited;
pub mod line;
pub mod reconfigured;
pub mod render;
pub mod server;
pub mod status;
pub mod subscriber;
pub mod view;
