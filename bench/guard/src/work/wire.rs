//! Headers and messages: parsed and written.

use std::hint::black_box;

use anyhow::{Context, Result, ensure};
use network::{Client, Path, SERVER_DUID};
use wire::{
    Frame, HEADROOM_MAX, IaKind, Iaid, MessageIndex, MessageType, NoRoom, OptionCode, RelayChain,
    ReplyPath, ReplyWriter, VlanTags, shard_of,
};

use super::Work;

const OPERATIONS: u64 = 256;
const FRAME: usize = 2048;
const ADDRESS: u128 = 0x2001_0db8 << 96 | 0x10;

pub fn run(work: &Work<'_>) -> Result<()> {
    for (path, suffix) in [(Path::Direct, ""), (Path::Relayed, "-relayed")] {
        let client = Client {
            number: 4711,
            path,
            address: Some(ADDRESS),
        };
        let mut request = Vec::new();
        client.write(&mut request, MessageType::REQUEST);
        messages(work, &request, suffix)?;
        headers(work, &request, suffix)?;
    }
    let duid = Client {
        number: 4711,
        path: Path::Direct,
        address: None,
    }
    .duid();
    work.of("wire/shard-of", OPERATIONS, || {
        for _ in 0..OPERATIONS {
            black_box(shard_of(black_box(&duid)));
        }
    });
    Ok(())
}

fn messages(work: &Work<'_>, request: &[u8], suffix: &str) -> Result<()> {
    let mut parsed = 0;
    work.of(&format!("wire/parse-message{suffix}"), OPERATIONS, || {
        for _ in 0..OPERATIONS {
            let mut chain = RelayChain::default();
            let mut index = MessageIndex::default();
            let read = chain.read(black_box(request)).is_ok();
            parsed += u64::from(read && index.read(&chain.message).is_ok());
            black_box(&index);
        }
    });
    ensure!(parsed == OPERATIONS, "a Request was not read");
    let chain = RelayChain::parse(request)?;
    let mut buffer = vec![0; FRAME];
    let mut written = 0;
    work.of(&format!("wire/write-message{suffix}"), OPERATIONS, || {
        for _ in 0..OPERATIONS {
            written += u64::from(reply(black_box(&mut buffer), &chain).is_ok());
        }
    });
    ensure!(written == OPERATIONS, "a Reply was not written");
    Ok(())
}

/// A Reply with one address and DNS options, as most are.
fn reply(buffer: &mut [u8], chain: &RelayChain<'_>) -> Result<usize, NoRoom> {
    let mut writer = ReplyWriter::begin_relayed(buffer, chain, MessageType::REPLY)?;
    writer.option(OptionCode::CLIENTID, &[7; 14])?;
    writer.option(OptionCode::SERVERID, &SERVER_DUID)?;
    let ia = writer.open_ia(IaKind::Na, Iaid(1), 1800, 2880)?;
    writer.ia_address(ADDRESS, 3600, 7200)?;
    writer.close(ia)?;
    writer.option(OptionCode::DNS_SERVERS, &[1; 32])?;
    writer.option(OptionCode::DOMAIN_LIST, b"\x07example\x03net\0")?;
    writer.finish()
}

fn headers(work: &Work<'_>, payload: &[u8], suffix: &str) -> Result<()> {
    let path = ReplyPath {
        src_mac: [2, 0, 0, 0, 0, 1],
        dst_mac: [2, 0, 0, 0, 0, 2],
        vlan: VlanTags::default(),
        src: ADDRESS,
        dst: ADDRESS + 1,
        src_port: 547,
        dst_port: 547,
        hop_limit: 64,
    };
    let mut frame = vec![0; HEADROOM_MAX + payload.len()];
    let at = path.header_len();
    frame[at..at + payload.len()].copy_from_slice(payload);
    let mut len = 0;
    work.of(&format!("wire/write-headers{suffix}"), OPERATIONS, || {
        for _ in 0..OPERATIONS {
            len = path
                .write(black_box(&mut frame), payload.len())
                .unwrap_or_default();
        }
    });
    let frame = frame.get(..len).context("no frame")?;
    let mut parsed = 0;
    work.of(&format!("wire/parse-headers{suffix}"), OPERATIONS, || {
        for _ in 0..OPERATIONS {
            parsed += u64::from(black_box(Frame::parse(black_box(frame))).is_ok());
        }
    });
    ensure!(parsed == OPERATIONS, "a frame was not read");
    let frame = Frame::parse(frame)?;
    let mut right = 0;
    work.of(&format!("wire/verify-checksum{suffix}"), OPERATIONS, || {
        for _ in 0..OPERATIONS {
            right += u64::from(black_box(&frame).verify_checksum().is_ok());
        }
    });
    ensure!(right == OPERATIONS, "a checksum was wrong");
    Ok(())
}
