//! Whose binding a BNDUPD is about where that is a subscriber's: a vendor option in
//! OPTION_CLIENT_DATA, beside the Client Identifier of who has the lease. Both servers key the
//! binding alike by it, also where one's word for the client's relays is not kept.
//!
//! ```text
//! 0 enterprise number u32 │ 4 suboption 3 u16, 6 length u16 │ 8 "twinlease" 1 │ 18 number u32 │ 22 key
//! ```

use crate::code::OptionCode;
use crate::duid::{DUID_LEN_MAX, Duid, Iaid};
use crate::failover::writer::FrameWriter;
use crate::malformed::{Fault, Malformed};
use crate::option::RawOption;
use crate::reply::NoRoom;
use crate::subscriber::SubscriberIa;
use arrayvec::ArrayVec;

/// Enterprise number of this program's own options between partners: one for examples (RFC 5612),
/// since it has none of its own. [`MAGIC`] tells the data from what others may put there.
pub const ENTERPRISE: u32 = 32_473;
/// What stands at the beginning of the data of each.
pub const MAGIC: &[u8; 10] = b"twinlease\x01";
const SUBOPTION: u16 = 3;
const NUMBER_LEN: usize = 4;

/// Reads an OPTION_VENDOR_OPTS; `None`: it is somebody else's.
///
/// # Errors
/// It is ours, and what is in it is no subscriber's IA.
pub(super) fn parse<'a>(option: &RawOption<'a>) -> Result<Option<SubscriberIa<'a>>, Malformed> {
    let Some(rest) = head_of(option.data) else {
        return Ok(None);
    };
    let subscriber = || {
        let (len, rest) = rest.split_first_chunk()?;
        let rest = rest.strip_prefix(MAGIC)?;
        let (number, key) = rest.split_first_chunk()?;
        let is_whole = usize::from(u16::from_be_bytes(*len)) == MAGIC.len() + rest.len();
        Some(SubscriberIa {
            key: Duid::new(key).filter(|key| is_whole && key.is_subscriber())?,
            number: Iaid(u32::from_be_bytes(*number)),
        })
    };
    match subscriber() {
        Some(subscriber) => Ok(Some(subscriber)),
        None => Err(option.malformed(Fault::Value)),
    }
}

/// What follows the number of the suboption in an option of ours.
fn head_of(data: &[u8]) -> Option<&[u8]> {
    let rest = data.strip_prefix(&ENTERPRISE.to_be_bytes())?;
    let rest = rest.strip_prefix(&SUBOPTION.to_be_bytes())?;
    rest.get(2..)?.starts_with(MAGIC).then_some(rest)
}

pub(super) fn put(
    subscriber: &SubscriberIa<'_>,
    frame: &mut FrameWriter<'_>,
) -> Result<(), NoRoom> {
    let key = subscriber.key.octets();
    let len = (MAGIC.len() + NUMBER_LEN + key.len()) as u16;
    let parts: [&[u8]; 6] = [
        &ENTERPRISE.to_be_bytes(),
        &SUBOPTION.to_be_bytes(),
        &len.to_be_bytes(),
        MAGIC,
        &subscriber.number.0.to_be_bytes(),
        key,
    ];
    let octets = parts.into_iter().flatten().copied();
    let data: ArrayVec<u8, { 8 + MAGIC.len() + NUMBER_LEN + DUID_LEN_MAX }> = octets.collect();
    frame.option(OptionCode::VENDOR_OPTS, &data)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::code::MessageType;
    use crate::failover::{Body, Client, Container, FailoverMessage, TransactionId};
    use crate::{IaKind, SubscriberKey};

    const ID: [u8; 9] = *b"\0\0\x0d\xe9line1";

    fn key() -> SubscriberKey {
        SubscriberKey::new(crate::ClientKey::RemoteId, 0, &ID, |_| [0; 16]).unwrap()
    }

    fn frame(buffer: &mut [u8], vendor: impl FnOnce(&mut FrameWriter<'_>)) -> usize {
        let id = TransactionId::new(7);
        let mut frame = FrameWriter::begin(buffer, MessageType::BNDUPD, id).unwrap();
        let duid = Duid::new(b"\0\x03\0\x01abc");
        let open = frame
            .open_client_data(&Client {
                client_id: duid,
                base_time: Some(1),
                ..Client::default()
            })
            .unwrap();
        vendor(&mut frame);
        let ia = frame.open_ia(IaKind::Na, Iaid(1), 0, 0).unwrap();
        frame.close(ia).unwrap();
        frame.close(open).unwrap();
        frame.finish().unwrap()
    }

    #[test]
    fn a_subscriber_travels_and_what_is_wrong_in_it_is_refused() {
        let key = key();
        let subscriber = SubscriberIa {
            key: key.duid(),
            number: Iaid(3),
        };
        let mut buffer = [0; 256];
        let len = frame(&mut buffer, |frame| put(&subscriber, frame).unwrap());
        let read = |octets: &[u8]| {
            let message = FailoverMessage::parse(&octets[2..]).unwrap();
            match message.body() {
                Ok(Body::Bndupd(Container::Client(data))) => Ok(data
                    .client
                    .subscriber
                    .map(|subscriber| (subscriber.key.octets().to_vec(), subscriber.number))),
                _ => Err(()),
            }
        };
        let expected = (key.duid().octets().to_vec(), Iaid(3));
        assert_eq!(read(&buffer[..len]), Ok(Some(expected)));
        let at = buffer.windows(10).position(|w| w == MAGIC).unwrap();
        // Not ours: another enterprise, suboption or magic.
        for other in [at - 8, at - 3, at, at + 9] {
            let mut octets = buffer;
            octets[other] ^= 1;
            assert_eq!(read(&octets[..len]), Ok(None), "octet {other}");
        }
        // Ours and wrong: its length, the type of the key.
        for wrong in [at - 1, at + 14] {
            let mut octets = buffer;
            octets[wrong] ^= 1;
            assert!(read(&octets[..len]).is_err(), "octet {wrong}");
        }
    }
}
