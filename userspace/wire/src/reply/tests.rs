extern crate std;

use std::vec;
use std::vec::Vec;

use dhcproto::v6::{DhcpOption, Message as Reference, MessageType as ReferenceType};
use dhcproto::{Decodable, Decoder};
use proptest::prelude::*;

use super::*;
use crate::message::{Message, MessageIndex};
use crate::option::Options;
use crate::options::ia::IaIndex;

const ADDRESS: u128 = 0x2001_0db8 << 96 | 0x1001;

fn forward(layers: u8) -> Vec<u8> {
    (0..layers).fold(vec![1, 7, 8, 9], |inner, hop_count| {
        let mut octets = vec![12, hop_count];
        octets.extend([hop_count; 32]);
        if hop_count % 2 == 0 {
            octets.extend([0, 18, 0, 2, hop_count, 5]);
        }
        octets.extend([0, 9]);
        octets.extend((inner.len() as u16).to_be_bytes());
        octets.extend(inner);
        octets
    })
}

fn reply(writer: &mut ReplyWriter<'_>) -> Result<(), NoRoom> {
    writer.option(OptionCode::SERVERID, b"server")?;
    writer.option(OptionCode::CLIENTID, b"client")?;
    let ia = writer.open_ia(IaKind::Na, Iaid(7), 50, 80)?;
    writer.ia_address(ADDRESS, 100, 200)?;
    writer.status(StatusCode::SUCCESS, "ok")?;
    writer.close(ia)?;
    let ia = writer.open_ia(IaKind::Pd, Iaid(8), 50, 80)?;
    writer.ia_prefix(ADDRESS, 56, 100, 200)?;
    writer.close(ia)
}

fn write(buffer: &mut [u8], chain: &RelayChain<'_>) -> Result<usize, NoRoom> {
    let mut writer = ReplyWriter::begin_relayed(buffer, chain, MessageType::REPLY)?;
    reply(&mut writer)?;
    writer.finish()
}

#[test]
fn rfc9915_19_3_layers_are_copied_back() {
    for layers in 0..=8 {
        let received = forward(layers);
        let chain = RelayChain::parse(&received).unwrap();
        let mut buffer = [0xaa; 2000];
        let len = write(&mut buffer, &chain).unwrap();
        let mut rest = &buffer[..len];
        for relay in &chain.relays {
            assert_eq!(rest[..2], [13, relay.hop_count]);
            assert_eq!(rest[2..34], [relay.hop_count; 32]);
            let options = Options::new(&rest[34..], 34);
            let interface_id = options.find(OptionCode::INTERFACE_ID);
            assert_eq!(interface_id.map(|option| option.data), relay.interface_id);
            rest = options.find(OptionCode::RELAY_MSG).unwrap().data;
        }
        let message = Message::parse(rest, 0, OptionCode(0)).unwrap();
        assert_eq!(message.transaction_id, [7, 8, 9]);
        let index = MessageIndex::new(&message).unwrap();
        let na = IaIndex::new(&index.ias[0]).unwrap();
        assert_eq!(
            (na.addresses[0].address, na.addresses[0].valid),
            (ADDRESS, 200)
        );
        assert_eq!(na.status.unwrap().message, b"ok");
        let pd = IaIndex::new(&index.ias[1]).unwrap();
        assert_eq!(
            (pd.prefixes[0].prefix, pd.prefixes[0].prefix_len),
            (ADDRESS, 56)
        );
    }
}

#[test]
fn another_implementation_reads_the_same() {
    let mut buffer = [0; 500];
    let mut writer = ReplyWriter::begin(&mut buffer, MessageType::REPLY, [1, 2, 3]).unwrap();
    reply(&mut writer).unwrap();
    let len = writer.finish().unwrap();
    let read = Reference::decode(&mut Decoder::new(&buffer[..len])).unwrap();
    assert_eq!(read.msg_type(), ReferenceType::Reply);
    assert_eq!(read.xid(), [1, 2, 3]);
    let (mut addresses, mut prefixes) = (vec![], vec![]);
    for option in read.opts().iter() {
        match option {
            DhcpOption::IANA(ia) => {
                assert_eq!((ia.id, ia.t1, ia.t2), (7, 50, 80));
                addresses.extend(ia.opts.iter().filter_map(|option| match option {
                    DhcpOption::IAAddr(held) => Some(u128::from(held.addr)),
                    _ => None,
                }));
            }
            DhcpOption::IAPD(ia) => prefixes.extend(ia.opts.iter().filter_map(|o| match o {
                DhcpOption::IAPrefix(held) => Some((u128::from(held.prefix_ip), held.prefix_len)),
                _ => None,
            })),
            _ => {}
        }
    }
    assert_eq!(addresses, [ADDRESS]);
    assert_eq!(prefixes, [(ADDRESS, 56)]);
}

#[test]
fn every_too_small_buffer_is_refused_and_not_overrun() {
    let received = forward(3);
    let chain = RelayChain::parse(&received).unwrap();
    let mut buffer = [0; 2000];
    let len = write(&mut buffer, &chain).unwrap();
    for room in 0..len {
        assert_eq!(
            write(&mut buffer[..room], &chain),
            Err(NoRoom),
            "{room} octets"
        );
    }
    assert_eq!(write(&mut buffer[..len], &chain), Ok(len));
}

#[test]
fn an_option_longer_than_its_length_field_is_refused() {
    let mut buffer = vec![0; 140_000];
    let mut writer = ReplyWriter::begin(&mut buffer, MessageType::REPLY, [0; 3]).unwrap();
    assert_eq!(writer.option(OptionCode::ORO, &[0; 65_536]), Err(NoRoom));
    assert_eq!(writer.len(), 4);
    let open = writer.open(OptionCode::IA_NA).unwrap();
    writer.put(&[0; 65_536]).unwrap();
    assert_eq!(writer.close(open), Err(NoRoom));
}

#[test]
fn rewind_takes_back_what_follows_the_mark() {
    let mut buffer = [0; 100];
    let mut writer = ReplyWriter::begin(&mut buffer, MessageType::REPLY, [0; 3]).unwrap();
    let mark = writer.mark();
    let open = writer.open(OptionCode::IA_NA).unwrap();
    writer.rewind(mark);
    assert_eq!(writer.close(open), Err(NoRoom));
    writer.option(OptionCode::RAPID_COMMIT, &[]).unwrap();
    let len = writer.finish().unwrap();
    assert_eq!(buffer[..len], [7, 0, 0, 0, 0, 14, 0, 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn options_read_back_as_written(
        options in proptest::collection::vec(
            (any::<u16>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..12),
    ) {
        let mut buffer = [0; 1000];
        let mut writer = ReplyWriter::begin(&mut buffer, MessageType::REPLY, [0; 3]).unwrap();
        for (code, data) in &options {
            writer.option(OptionCode(*code), data).unwrap();
        }
        let len = writer.finish().unwrap();
        let read: Vec<_> = Options::new(&buffer[4..len], 4)
            .map(|option| option.map(|option| (option.code.0, option.data.to_vec())).unwrap())
            .collect();
        prop_assert_eq!(read, options);
    }
}
