//! Steering by what relays call a client's line.

use super::*;
use wire::SubscriberKey;
use wire::steer::{IDENTITY_LEN_MAX, RELAY_LAYERS_MAX};

/// What subscribers are told apart by.
const KEYS: &[ClientKey] = ClientKey::ALL.split_at(1).1;
const OTHER_DUID: [u8; 10] = [0, 3, 0, 1, 9, 9, 9, 9, 9, 9];
const TOO_DEEP: usize = RELAY_LAYERS_MAX + 1;

/// The worker that answers where clients are told apart by `key`: by the first option of the layer
/// nearest to the client that has one, if that names somebody.
fn answering(recipe: &Recipe, key: ClientKey) -> u8 {
    let mut nearest_first = recipe.layers.iter().rev();
    let identity = nearest_first.find_map(|(options, _)| {
        let mut options = options.iter();
        let found = options.find(|(code, _)| *code == key.code());
        found.map(|(_, data)| data.as_slice())
    });
    let digest = |_: &[u8]| unreachable!("all are short");
    let subscriber = identity.and_then(|id| SubscriberKey::new(key, 1, id, digest));
    let mut options = recipe.options.iter();
    let (_, duid) = options.find(|(code, _)| *code == 1).expect("a client id");
    owner(subscriber.map_or_else(|| steer::shard_of(duid), |key| key.duid().shard()))
}

/// Layers that each name another line, with so many of their options in front of the Relay Message.
fn lines(key: ClientKey, layers: usize, before: usize) -> Recipe {
    let mut recipe = Recipe::new(layers, &DUID);
    for (depth, layer) in recipe.layers.iter_mut().enumerate() {
        let line = format!("olt-7 line {depth}").into_bytes();
        *layer = (vec![(79, vec![0; 8]), (key.code(), line)], before);
    }
    recipe
}

#[test]
fn a_relayed_message_goes_to_the_worker_of_its_subscriber_whatever_the_device() {
    for &key in KEYS {
        let Some(kernel) = Kernel::steering_by(key) else {
            return;
        };
        for (layers, before) in (0..=TOO_DEEP).flat_map(|layers| [0, 1, 2].map(|n| (layers, n))) {
            let mut recipe = lines(key, layers, before);
            let line = format!("olt-7 line {}", layers.saturating_sub(1));
            for duid in [&DUID[..], &OTHER_DUID] {
                recipe.options[1].1 = duid.to_vec();
                let expected = match layers {
                    0 => Ok(owner(steer::shard_of(duid))),
                    TOO_DEEP => Err(Pass::TooDeep),
                    _ => Ok(owner(steer::shard_of(line.as_bytes()))),
                };
                assert_eq!(
                    kernel.agree(&recipe.frame()),
                    expected,
                    "{key:?}, {layers} layers"
                );
            }
        }
    }
}

#[test]
fn without_a_subscriber_it_goes_to_the_worker_of_its_duid() {
    for &key in KEYS {
        let Some(kernel) = Kernel::steering_by(key) else {
            return;
        };
        let nobody: &[&[u8]] = match key {
            ClientKey::RemoteId => &[b"", b"\0", b"\0\0\x0d\xe9"],
            _ => &[b""],
        };
        for (layers, before) in (1..=8).flat_map(|layers| [0, 2].map(|n| (layers, n))) {
            let mut recipe = lines(key, layers, before);
            // The nearest relay decides alone: those behind it name other ports.
            for data in nobody {
                recipe.layers[layers - 1].0[1].1 = data.to_vec();
                assert_eq!(kernel.agree(&recipe.frame()), steered(), "{key:?} {data:?}");
            }
            let too_long = vec![7; IDENTITY_LEN_MAX + 1];
            recipe.layers[layers - 1].0[1].1 = too_long;
            assert_eq!(kernel.agree(&recipe.frame()), steered(), "{key:?}");
            for (options, _) in &mut recipe.layers {
                options.truncate(1);
            }
            assert_eq!(kernel.agree(&recipe.frame()), steered(), "{key:?}");
        }
        let mut nameless = lines(key, 1, 1);
        nameless.layers[0].0.truncate(1);
        nameless.options.remove(1);
        assert_eq!(kernel.agree(&nameless.frame()), Err(Pass::NoClientId));
    }
}

#[test]
fn it_goes_to_its_subscriber_s_worker_also_where_an_empty_option_ends_the_frame() {
    for &key in KEYS {
        let Some(kernel) = Kernel::steering_by(key) else {
            return;
        };
        for layers in 1..=8 {
            let mut recipe = lines(key, layers, 2);
            for (options, _) in &mut recipe.layers {
                options.push((79, Vec::new()));
            }
            let expected = Ok(answering(&recipe, key));
            assert_eq!(kernel.agree(&recipe.frame()), expected, "{layers} layers");
            // The client's message need not be looked at, nor have a DUID.
            recipe.options.clear();
            assert_eq!(kernel.agree(&recipe.frame()), expected, "{layers} layers");
        }
    }
}

#[test]
fn a_relayed_frame_cut_at_any_octet_is_judged_alike() {
    let Some(kernel) = Kernel::steering_by(ClientKey::RemoteId) else {
        return;
    };
    for (layers, before) in [(1, 0), (1, 2), (3, 1), (8, 0)] {
        let frame = lines(ClientKey::RemoteId, layers, before).frame();
        for len in 14..frame.len() {
            let verdict = kernel.agree(&frame[..len]);
            assert_eq!(verdict, Err(Pass::Truncated), "cut at {len}");
        }
        cut_message(&kernel, &frame);
    }
}

#[test]
fn any_well_formed_relayed_message_goes_to_the_worker_of_its_subscriber() {
    for &key in KEYS {
        let Some(kernel) = Kernel::steering_by(key) else {
            return;
        };
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            ..Config::with_cases(128)
        });
        let result = runner.run(&any_recipe(), |mut recipe| {
            recipe.tags.truncate(2);
            recipe.destination = GROUP;
            recipe.layers.truncate(RELAY_LAYERS_MAX);
            // Layers with one option name nobody, those with two or more do, twice if with four.
            for (options, _) in &mut recipe.layers {
                for option in options.iter_mut().skip(1).step_by(2) {
                    option.0 = key.code();
                }
            }
            let expected = Ok(answering(&recipe, key));
            prop_assert_eq!(kernel.agree(&recipe.frame()), expected);
            Ok(())
        });
        result.expect("kernel and userspace agree");
    }
}

#[test]
fn any_octets_behind_good_headers_are_judged_alike_by_every_program() {
    for &key in KEYS {
        let Some(kernel) = Kernel::steering_by(key) else {
            return;
        };
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            ..Config::with_cases(128)
        });
        let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
        let layers = (1_usize..9, 0_usize..3);
        let result = runner.run(&(layers, damage), |((layers, before), damage)| {
            let mut frame = lines(key, layers, before).frame();
            for (index, octet) in damage {
                let at = index.index(frame.len());
                frame[at] = octet;
            }
            let _: Result<u8, Pass> = kernel.agree(&frame);
            Ok(())
        });
        result.expect("kernel and userspace agree");
    }
}
