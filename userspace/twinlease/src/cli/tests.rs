//! What command lines mean, and what `check` says.

use super::commands::check;
use super::leases::query;
use super::*;
use clap::CommandFactory;
use std::fs;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn global_options_may_stand_anywhere() {
    let cli = parse("twinlease run --config c.toml --accept-damage --log debug --log-format json");
    let cli = cli.unwrap();
    assert_eq!(
        (cli.log.as_str(), cli.log_format),
        ("debug", LogFormat::Json)
    );
    let Command::Run {
        config,
        accept_damage,
    } = cli.command
    else {
        panic!("not run");
    };
    assert_eq!((config.to_str(), accept_damage), (Some("c.toml"), true));
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for line in [
        "twinlease",
        "twinlease serve",
        "twinlease run",
        "twinlease leases show",
        "twinlease leases show lease-1",
        "twinlease leases show 2001:db8::1/64",
        "twinlease leases list --address ::1 --prefix 2001:db8::/56",
        "twinlease --log-format xml status",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn a_list_asks_for_what_its_options_say() {
    let asked = |line: &str| match parse(line).unwrap().command {
        Command::Leases(Leases::List(args)) => query(&args),
        other => panic!("{other:?}"),
    };
    assert_eq!(asked("twinlease leases list"), "/v1/leases?limit=1000");
    assert_eq!(
        asked("twinlease leases list --link a&b --duid 00:04:01 --within 2001:db8::/40 --json"),
        "/v1/leases?limit=1000&link=a%26b&duid=00:04:01&within=2001:db8::%2F40"
    );
}

#[test]
fn the_socket_is_the_one_given_else_the_configs_else_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.toml");
    fs::write(&file, "[control]\nsocket = \"/tmp/from-config.sock\"\n").unwrap();
    let socket = |socket: Option<&str>, config: Option<&Path>| {
        let args = ServerArgs {
            socket: socket.map(PathBuf::from),
            config: config.map(PathBuf::from),
        };
        args.socket().map(|path| path.display().to_string())
    };
    assert_eq!(socket(Some("/s"), Some(&file)).unwrap(), "/s");
    assert_eq!(socket(None, Some(&file)).unwrap(), "/tmp/from-config.sock");
    assert_eq!(socket(None, None).unwrap(), "/run/twinlease/control.sock");
    assert!(socket(None, Some(&dir.path().join("none.toml"))).is_err());
}

#[test]
fn check_counts_faults_and_approves_what_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.toml");
    let verdict = |text: &str| {
        fs::write(&file, text).unwrap();
        let mut out = Vec::new();
        let done = check(&file, &mut out).map_err(|error| format!("{error:#}"));
        done.map(|()| String::from_utf8(out).unwrap())
    };
    let good = "[[interface]]\nname = \"eth0\"\n\n[[link]]\nname = \"a\"\ninterface = \"eth0\"\n\n\
                [[link.address-pool]]\nrange = \"2001:db8::/64\"\n";
    assert_eq!(verdict(good).unwrap(), "config ok\n");
    let faults = format!("{good}\n[workers]\nidle = \"often\"\n\n[lifetimes]\nvalid = \"soon\"\n");
    let said = verdict(&faults).unwrap_err();
    assert!(said.ends_with("t.toml: 2 faults"), "{said}");
}
