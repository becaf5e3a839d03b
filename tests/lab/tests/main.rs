//! The lab tests: the server with real clients and relays in network namespaces. They need root,
//! the program `twinlease` built beside them, and the packages that `cargo xtask setup` installs.

