//! The program as an operator calls it: exit codes, and what goes where.

use std::fs;
use std::process::{Command, Output};

fn twinlease(arguments: &[&str]) -> (Option<i32>, String, String) {
    let program = Command::new(env!("CARGO_BIN_EXE_twinlease"))
        .args(arguments)
        .env_remove("TWINLEASE_LOG")
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = program.expect("the program starts");
    let text = |octets| String::from_utf8(octets).expect("it prints UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn check_tells_every_fault_on_stderr() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("t.toml");
    let path = file.to_str().expect("a path in UTF-8");
    let good = "[[interface]]\nname = \"eth0\"\n";
    let faults = "\n[server]\nstate-dirr = \"/x\"\n\n[workers]\nidle = \"often\"\n";
    fs::write(&file, format!("{good}{faults}")).expect("a config");
    for command in ["check", "run"] {
        let (code, out, err) = twinlease(&[command, "--config", path]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{command}: {err}");
        for line in [
            format!("{path}:5:1: error: server.state-dirr: unknown key; did you mean"),
            format!("{path}:8:8: error: workers.idle: \"often\" is not one of the words"),
            format!("twinlease: {path}: 2 faults"),
        ] {
            let told = err.lines().any(|told| told.starts_with(&line));
            assert!(told, "{command}: no {line:?} in\n{err}");
        }
    }
    fs::write(&file, good).expect("a config");
    let (code, out, err) = twinlease(&["check", "--config", path]);
    let approved = code == Some(0) && out.starts_with("config ok");
    assert!(approved, "{code:?} {out}{err}");
    let (code, _, err) = twinlease(&["check", "--config", "/nonexistent.toml"]);
    assert_eq!(code, Some(1));
    let told = "/nonexistent.toml:1:1: error: cannot be read";
    assert!(err.starts_with(told), "{err}");
}

#[test]
fn one_relationship_is_served_and_a_second_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("t.toml");
    let path = file.to_str().expect("a path in UTF-8");
    let config = "[[interface]]\nname = \"eth0\"\n[[link]]\nname = \"a\"\ninterface = \"eth0\"\n\
        [[link.address-pool]]\nrange = \"2001:db8::/64\"\n\
        [[failover]]\nname = \"x\"\nrole = \"primary\"\nlocal = \"[2001:db8::1]:647\"\n\
        partner = \"[2001:db8::2]:647\"\nlinks = [\"a\"]\ntls = \"insecure\"\n";
    fs::write(&file, config).expect("a config");
    let (code, out, err) = twinlease(&["check", "--config", path]);
    assert_eq!(code, Some(0), "{out}{err}");
    let second = "[[link]]\nname = \"b\"\nlink-addresses = [\"2001:db9::/64\"]\n\
        [[failover]]\nname = \"y\"\nrole = \"primary\"\nlocal = \"[2001:db8::1]:647\"\n\
        partner = \"[2001:db8::3]:647\"\nlinks = [\"b\"]\ntls = \"insecure\"\n";
    fs::write(&file, format!("{config}{second}")).expect("a config");
    for command in ["check", "run"] {
        let (code, out, err) = twinlease(&[command, "--config", path]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{command}: {err}");
        assert!(
            err.contains("failover[1]: a server has one relationship at most"),
            "{err}"
        );
    }
}

#[test]
fn without_a_server_every_question_says_what_to_do() {
    for arguments in [
        &["status", "--json"][..],
        &["leases", "list"],
        &["leases", "show", "2001:db8::1"],
    ] {
        let socket = ["--socket", "/nonexistent/control.sock"];
        let (code, out, err) = twinlease(&[arguments, &socket].concat());
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}");
        let told = "twinlease: /nonexistent/control.sock: No such file or directory";
        assert!(err.starts_with(told), "{err}");
        assert!(err.contains("is the server running?"), "{err}");
    }
}

#[test]
fn a_wrong_command_line_is_2_and_a_wrong_log_filter_is_1() {
    assert_eq!(twinlease(&["leases", "show", "hello"]).0, Some(2));
    let (code, _, err) = twinlease(&["status", "--log", "a=b=c"]);
    let told = code == Some(1) && err.contains("log filter");
    assert!(told, "{code:?} {err}");
}
