//! The lab tests: the server with real clients and relays in network namespaces. They need root,
//! the program `twinlease` built beside them, and the packages that `cargo xtask setup` installs.

/// What the tests share.
mod common;
/// A row of the protocol digest after the other, against one server.
mod conformance;
/// What `doctor` says of the lab.
mod doctor;
/// Release, Decline, Confirm, Information-request, rapid commit, by the lab's own client.
mod exchanges;
/// Datagrams and configs that are not as they should be, and a second server.
mod faults;
/// The same story on every rung of the io ladder.
mod io;
/// The load generator.
mod load;
/// What an operator does to bindings: import, export, release, reset.
mod operator;
/// A pair of failover partners.
mod pair;
/// Real clients, directly and through a real relay.
mod real_clients;
/// Reconfigure, to a client that checks it and to a real one.
mod reconfigure;
/// A new config under load, and one that is refused.
mod reload;
/// `kill -9` right after the Reply, and an orderly stop.
mod restart;
/// One relay's packets spread over two workers by the XDP program.
mod steering;
/// Leases of a line, whatever device is on it.
mod subscribers;
