//! `steer-by`: what the datapath is given, and what is said of it beside the links' `client-key`.

use super::{findings, taken};
use wire::ClientKey;

/// An interface and a link behind relays, with these keys.
fn config(interface: &str, link: &str) -> String {
    format!(
        "[[interface]]\nname = \"eth0\"\n{interface}\n[[link]]\nname = \"a\"\n\
         link-addresses = [\"2001:db8::/64\"]\n{link}\n\
         [[link.address-pool]]\nrange = \"2001:db8::/64\"\n"
    )
}

#[test]
fn the_datapath_steers_by_what_the_file_says_and_else_by_the_duid() {
    let steer_by = |interface: &str| taken(&config(interface, "")).interface_specs()[0].steer_by;
    assert_eq!(steer_by(""), ClientKey::Duid);
    for key in ClientKey::ALL {
        let text = format!("steer-by = \"{}\"", key.as_str());
        assert_eq!(steer_by(&text), key);
    }
}

#[test]
fn what_makes_workers_hand_on_is_warned_of_on_either_side() {
    let by_line = "client-key = \"remote-id\"";
    let cases = [
        ("", "", ""),
        ("steer-by = \"remote-id\"", by_line, ""),
        (
            "",
            by_line,
            "t.toml:7:14: warning: link[0].client-key: no interface steers by that, so workers hand on \
             most messages of this link; add steer-by = \"remote-id\" to the [[interface]]",
        ),
        (
            "steer-by = \"subscriber-id\"",
            "",
            "t.toml:3:12: warning: interface[0].steer-by: no link behind relays has client-key = \
             \"subscriber-id\", so workers hand on what comes with a subscriber-id; drop it",
        ),
        (
            "io = \"socket\"\nsteer-by = \"remote-id\"",
            by_line,
            "t.toml:4:12: warning: interface[0].steer-by: says nothing with io = \"socket\"",
        ),
    ];
    for (interface, link, said) in cases {
        let report = findings(&config(interface, link));
        match said {
            "" => assert_eq!(report, "", "{interface} {link}"),
            _ => assert!(report.contains(said), "{report}\nnot:\n{said}"),
        }
    }
    let one_worker = format!("[workers]\ncores = [0]\n{}", config("", by_line));
    assert_eq!(findings(&one_worker), "", "there is nobody to hand on to");
    let report = findings(&config("steer-by = \"line\"", ""));
    let said = "interface[0].steer-by: \"line\" is not one of the words for this key";
    assert!(report.contains(said), "{report}");
}
