use super::*;
use crate::message::{FRAME_LEN_MAX, Message};
use wire::OptionCode as Code;
use wire::failover::{Body, FailoverMessage, TransactionId};

const NOW: AbsTime = AbsTime(800_000_000);

fn config(role: Role) -> Config {
    Config {
        name: "pair-a".into(),
        role,
        mclt_secs: 3_600,
        keepalive_secs: 60,
        max_unacked: 256,
        startup_secs: 10,
        auto_partner_down_secs: None,
        serve_without_partner: false,
        connect_retry_secs: 5,
        longest_valid_secs: 345_600,
        digest: ConfigDigest::default(),
    }
}

fn greeting() -> Greeting {
    Greeting::connect(&config(Role::Primary))
}

#[test]
fn rfc8156_6_1_1_a_connect_is_complete_and_accepted() {
    let mut frame = [0; FRAME_LEN_MAX];
    let len = Message::Connect(greeting())
        .write(&mut frame, TransactionId::new(2))
        .unwrap();
    let message = FailoverMessage::parse(&frame[2..len]).unwrap();
    let Ok(Body::Connect(connect)) = message.body() else {
        panic!("a CONNECT");
    };
    assert_eq!(connect, greeting().body());
    let secondary = Config {
        mclt_secs: 60,
        keepalive_secs: 20,
        ..config(Role::Secondary)
    };
    let agreed = check_connect(&secondary, &connect, NOW.0, NOW).unwrap();
    let expected = Agreed {
        mclt_secs: 3_600,
        partner_keepalive_secs: 60,
        window: 256,
        digest: Some(ConfigDigest::default()),
    };
    assert_eq!(agreed, expected);
    // The reply repeats the MCLT received, whatever is configured.
    let reply = Greeting::reply(&secondary, agreed.mclt_secs);
    assert_eq!(reply.body().relationship_name, None);
    let agreed = check_connectreply(&config(Role::Primary), &reply.body(), NOW.0, NOW).unwrap();
    assert_eq!(agreed.partner_keepalive_secs, 20);
}

#[test]
fn rfc8156_6_1_2_every_check_has_its_status() {
    let secondary = config(Role::Secondary);
    let good = greeting();
    let good = good.body();
    let version = ProtocolVersion { major: 2, minor: 0 };
    let cases = [
        (
            Connect {
                protocol_version: Some(version),
                ..good
            },
            ConnectError::Version(version),
            14,
        ),
        (
            Connect {
                relationship_name: Some(b"pair-b"),
                ..good
            },
            ConnectError::Relationship,
            17,
        ),
        (
            Connect {
                flags: Some(ConnectFlags(0)),
                ..good
            },
            ConnectError::VariablePrefixLengths,
            14,
        ),
        (
            Connect {
                mclt_secs: None,
                ..good
            },
            ConnectError::Missing(Code::F_MCLT),
            18,
        ),
        (
            Connect {
                mclt_secs: Some(0),
                ..good
            },
            ConnectError::Zero(Code::F_MCLT),
            1,
        ),
        (
            Connect {
                keepalive_secs: None,
                ..good
            },
            ConnectError::Missing(Code::F_KEEPALIVE_TIME),
            18,
        ),
        (
            Connect {
                max_unacked_bndupd: Some(0),
                ..good
            },
            ConnectError::Zero(Code::F_MAX_UNACKED_BNDUPD),
            1,
        ),
        (
            Connect {
                flags: None,
                ..good
            },
            ConnectError::Missing(Code::F_CONNECT_FLAGS),
            18,
        ),
        (
            Connect {
                protocol_version: None,
                ..good
            },
            ConnectError::Missing(Code::F_PROTOCOL_VERSION),
            18,
        ),
    ];
    for (connect, error, status) in cases {
        assert_eq!(check_connect(&secondary, &connect, NOW.0, NOW), Err(error));
        assert_eq!(error.status().0, status, "{error}");
    }
    let unnamed = Connect {
        relationship_name: None,
        ..good
    };
    assert!(check_connect(&secondary, &unnamed, NOW.0, NOW).is_ok());
    let minor = ProtocolVersion { major: 1, minor: 7 };
    let newer = Connect {
        protocol_version: Some(minor),
        ..good
    };
    assert!(check_connect(&secondary, &newer, NOW.0, NOW).is_ok());
    let primary = config(Role::Primary);
    let wrong_way = check_connect(&primary, &good, NOW.0, NOW);
    assert_eq!(wrong_way, Err(ConnectError::Relationship));
}

#[test]
fn rfc8156_6_1_2_the_clock_is_checked_first_and_strictly() {
    let secondary = config(Role::Secondary);
    let bad = Connect::default();
    for (sent, skew) in [(NOW.0 - 6, 6), (NOW.0 + 6, -6)] {
        let error = check_connect(&secondary, &bad, sent, NOW).unwrap_err();
        assert_eq!(error, ConnectError::Skew(skew));
        assert_eq!(error.status(), StatusCode::EXCESSIVE_TIME_SKEW);
    }
    let good = greeting();
    for sent in [NOW.0 - 5, NOW.0 + 5] {
        assert!(check_connect(&secondary, &good.body(), sent, NOW).is_ok());
    }
}

#[test]
fn rfc8156_6_1_3_a_reply_with_another_mclt_is_refused() {
    let primary = config(Role::Primary);
    let reply = Greeting::reply(&config(Role::Secondary), 60);
    let error = ConnectError::Mclt {
        got: 60,
        want: 3_600,
    };
    let checked = check_connectreply(&primary, &reply.body(), NOW.0, NOW);
    assert_eq!(checked, Err(error));
}

#[test]
fn a_greedy_window_is_cut() {
    let secondary = config(Role::Secondary);
    let good = greeting();
    let greedy = Connect {
        max_unacked_bndupd: Some(u32::MAX),
        ..good.body()
    };
    let agreed = check_connect(&secondary, &greedy, NOW.0, NOW).unwrap();
    assert_eq!(agreed.window, WINDOW_MAX);
}
