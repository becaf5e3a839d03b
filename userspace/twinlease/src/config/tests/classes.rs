//! `[[class]]` and what pools say of classes: faults with their place and remedy, warnings, and what
//! the engine is given.

use super::{GOOD, findings, taken};
use engine::{Attribute, AttributeValue, ClassMatch, Pattern};

const LINK: &str = "[[link]]\nname = \"a\"\ninterface = \"eth0\"\n";
const POOL: &str = "[[link.address-pool]]\nrange = \"2001:db8::10-2001:db8::1f\"\n";

/// A class with these keys and a link with a pool for it.
fn class(keys: &str) -> String {
    format!("{GOOD}[[class]]\nname = \"cpe\"\n{keys}\n{LINK}{POOL}class = \"cpe\"\n")
}

fn matches(keys: &str) -> Vec<ClassMatch> {
    taken(&class(keys)).classes.remove(0).matches
}

fn value(enterprise: Option<u32>, pattern: Option<(bool, &[u8], bool)>) -> AttributeValue {
    AttributeValue {
        enterprise,
        octets: pattern.map(|(open_start, octets, open_end)| Pattern {
            octets: octets.to_vec(),
            open_start,
            open_end,
        }),
    }
}

#[test]
fn values_are_written_as_text_hexadecimal_or_number() {
    let one = |keys: &str| {
        let matches = matches(keys);
        assert_eq!(matches.len(), 1, "{keys}");
        let ClassMatch { of, values } = matches[0].clone();
        (of, values)
    };
    assert_eq!(
        one(
            "vendor-class = [\"docsis*\", 4491, { enterprise = 9, text = \"*x\" }, { hex = \"00:01\" }]"
        ),
        (
            Attribute::VendorClass,
            vec![
                value(None, Some((false, b"docsis", true))),
                value(Some(4491), None),
                value(Some(9), Some((true, b"x", false))),
                value(None, Some((false, &[0, 1], false))),
            ]
        )
    );
    assert_eq!(
        one("interface-id = [\"*slot 7*\", { hex = \"*0a0b*\" }, \"*\"]"),
        (
            Attribute::InterfaceId,
            vec![
                value(None, Some((true, b"slot 7", true))),
                value(None, Some((true, &[10, 11], true))),
                value(None, Some((false, b"", true))),
            ]
        )
    );
    for (key, of) in [
        ("duid", Attribute::Duid),
        ("link-layer-address", Attribute::LinkLayerAddress),
        ("relay-id", Attribute::RelayId),
    ] {
        assert_eq!(
            one(&format!("{key} = [\"00:03:*\", \"0003*\", \"00:03\"]")),
            (
                of,
                vec![
                    value(None, Some((false, &[0, 3], true))),
                    value(None, Some((false, &[0, 3], true))),
                    value(None, Some((false, &[0, 3], false))),
                ]
            )
        );
    }
    assert_eq!(
        one("architecture = [7]"),
        (
            Attribute::Architecture,
            vec![value(None, Some((false, &[0, 7], false)))]
        )
    );
    assert_eq!(
        one("vendor-opts = [4491]"),
        (Attribute::VendorOpts, vec![value(Some(4491), None)])
    );
    let several = matches("user-class = [\"a\"]\nsubscriber-id = [\"b\"]\nremote-id = [9]");
    assert_eq!(several.len(), 3);
}

#[test]
fn every_fault_of_a_class_has_its_place_and_a_remedy() {
    for (keys, said) in [
        (
            "",
            "t.toml:3:1: error: class[0]: has no match, so every client would be in it; add at \
             least one of vendor-class, user-class",
        ),
        (
            "user-class = []",
            "t.toml:5:1: error: class[0].user-class: has no value, so no client would be in the \
             class; name at least one",
        ),
        (
            "user-class = \"a\"",
            "t.toml:5:14: error: class[0].user-class: is not a list; write [ … ]",
        ),
        (
            "user-class = [7]",
            "class[0].user-class[0]: an integer cannot stand here; write text in quotes",
        ),
        (
            "user-class = [\"a*b\"]",
            "class[0].user-class[0]: \"a*b\" has an asterisk that is not at an end",
        ),
        (
            "user-class = [{ enterprise = 9 }]",
            "class[0].user-class[0]: has an unknown key \"enterprise\"",
        ),
        (
            "remote-id = [{ text = \"a\", hex = \"00\" }]",
            "class[0].remote-id[0]: has both text and hex; keep one of the two",
        ),
        ("remote-id = [{}]", "class[0].remote-id[0]: says nothing"),
        (
            "remote-id = [{ enterprise = \"9\" }]",
            "class[0].remote-id[0]: a string cannot stand here; write an enterprise number",
        ),
        (
            "duid = [\"00:3\"]",
            "class[0].duid[0]: \"00:3\" is not hexadecimal; write octets in hexadecimal",
        ),
        (
            "architecture = [65536]",
            "class[0].architecture[0]: 65536 is out of range; write a number from 0 to 65535",
        ),
        (
            "vendorclass = [\"a\"]\nduid = [\"*\"]",
            "class[0].vendorclass: unknown key; did you mean \"vendor-class\"?",
        ),
        (
            "duid = [\"*\"]\nlifetimes = { preferred = \"2h\", valid = \"1h\" }",
            "class[0].lifetimes.preferred: the preferred lifetime (2h) is longer",
        ),
    ] {
        let text = class(keys);
        let found = findings(&text);
        assert!(found.contains(said), "{keys}\n{found}");
    }
}

#[test]
fn names_of_classes_are_unique_and_known() {
    let twice = format!(
        "{}[[class]]\nname = \"cpe\"\nduid = [\"*\"]\n",
        class("duid = [\"*\"]")
    );
    let found = findings(&twice);
    assert!(
        found.contains("error: class[1].name: \"cpe\" is already the name of class[0]"),
        "{found}"
    );
    let unknown = class("duid = [\"*\"]").replace("class = \"cpe\"", "class = [\"cpe\", \"cep\"]");
    let found = findings(&unknown);
    let said = "error: link[0].address-pool[0].class: there is no [[class]] \"cep\"; add it, or \
                choose from: cpe";
    assert!(found.contains(said), "{found}");
    let nobody = class("duid = [\"*\"]").replace("class = \"cpe\"", "class = []");
    let found = findings(&nobody);
    let said =
        "link[0].address-pool[0].class: names no class, so no client would draw from the pool";
    assert!(found.contains(said), "{found}");
}

#[test]
fn too_many_classes_are_said_at_the_first_that_is_one_too_many() {
    let classes: String = (0..65)
        .map(|n| format!("[[class]]\nname = \"c{n}\"\nduid = [\"*\"]\noptions.dns-servers = [\"2001:db8::1\"]\n"))
        .collect();
    let found = findings(&format!("{GOOD}{classes}{LINK}{POOL}"));
    assert!(
        found.contains("error: class[64]: 65 classes are too many; keep 64"),
        "{found}"
    );
}

#[test]
fn a_class_that_nothing_uses_is_warned_of() {
    let unused = class("duid = [\"*\"]").replace("class = \"cpe\"\n", "");
    let said = "t.toml:3:1: warning: class[0]: no pool is for class \"cpe\", and it has no options";
    assert!(findings(&unused).contains(said));
    let options = class("duid = [\"*\"]\noptions = { dns-servers = [\"2001:db8::1\"] }");
    assert_eq!(findings(&options.replace("class = \"cpe\"\n", "")), "");
    assert_eq!(findings(&class("duid = [\"*\"]")), "");
}

#[test]
fn a_pool_behind_an_endless_one_is_reached_by_clients_who_may_not_draw_from_that() {
    let pools = |first: &str, second: &str| {
        let text = format!(
            "{GOOD}[[class]]\nname = \"a\"\nduid = [\"00:*\"]\n[[class]]\nname = \"b\"\nduid = [\"01:*\"]\n\
             {LINK}[[link.address-pool]]\nrange = \"2001:db8:1::/64\"\n{first}\n\
             [[link.address-pool]]\nrange = \"2001:db8:2::/64\"\n{second}\n\
             [[link.address-pool]]\nrange = \"2001:db8:3::/64\"\nclass = [\"a\", \"b\"]\ngroup = \"g\"\n"
        );
        findings(&text).contains("address-pool[1].range: 2001:db8:2::/64 is never used")
    };
    assert!(pools("", ""));
    assert!(pools("", "class = \"a\""));
    assert!(pools("class = [\"b\", \"a\"]", "class = \"a\""));
    assert!(!pools("class = \"a\"", ""));
    assert!(!pools("class = \"a\"", "class = [\"a\", \"b\"]"));
    assert!(!pools("group = \"other\"", ""));
}

#[test]
fn what_passes_is_a_model_and_infinite_lifetimes_are_no_partner_s() {
    let text = class("user-class = [\"a*\"]\nlifetimes = { valid = \"infinite\" }");
    let config = taken(&text);
    let model = config.model(&[0, 4, 1, 2], [7; 16]).unwrap();
    let names = model.class_names(model.pools()[0].classes());
    assert_eq!(names.collect::<Vec<_>>(), ["cpe"]);
    let partnered =
        format!("{text}[[failover]]\nname = \"x\"\nlinks = [\"a\"]\ntls = \"insecure\"\n");
    let found = findings(&partnered);
    let said = "class \"cpe\" has an infinite valid lifetime; make it finite";
    assert!(found.contains(said), "{found}");
}
