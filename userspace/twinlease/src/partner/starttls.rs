//! From a TCP connection to one that failover messages may go over (RFC 7653 §8.2, §9.1).

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::failover::{Body, Connect, FailoverMessage, TlsMessage, TransactionId};
use wire::options::status::Status;
use wire::{MessageType, StatusCode};

use super::Security;
use super::error::{Lost, SetupError};
use super::reader::read_frame;

/// Octets of a message before the connection is set up, at most.
pub const SETUP_MESSAGE_LEN_MAX: usize = 4096;
/// Octets that hold each answer written here.
const ANSWER_LEN_MAX: usize = 256;

/// A stream with or without TLS around it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream over which failover messages may go.
pub struct Secured {
    pub stream: Box<dyn Stream>,
    pub is_tls: bool,
}

/// The primary's side: asks for TLS, unless `security` is none.
pub async fn secure(
    mut stream: TcpStream,
    security: &Security,
    step: Duration,
) -> Result<Secured, SetupError> {
    let Security::Tls(identity) = security else {
        return Ok(plain(stream));
    };
    let transaction_id = TransactionId::new(1);
    send(&mut stream, &TlsMessage::Starttls(transaction_id), step).await?;
    let frame = receive(&mut stream, "REPLY to STARTTLS", step).await?;
    let reply = TlsMessage::parse(&frame[2..])?;
    match reply {
        TlsMessage::Reply(id, _) if id == transaction_id => {}
        _ => return Err(unexpected(&frame, MessageType::REPLY)),
    }
    if let Some(Status { code, message }) = reply.refusal() {
        let text = String::from_utf8_lossy(message).escape_debug().to_string();
        return Err(SetupError::TlsRefused { code, text });
    }
    let (connector, name) = identity.connector();
    let handshake = connector.connect(name, stream);
    let stream = within(step, "end of the TLS handshake", handshake).await?;
    Ok(tls(stream.map_err(SetupError::Tls)?))
}

/// The secondary's side: gives the stream and the frame of CONNECT, the first message on it.
pub async fn accept(
    mut stream: TcpStream,
    security: &Security,
    step: Duration,
) -> Result<(Secured, Vec<u8>), SetupError> {
    let frame = receive(&mut stream, "first message", step).await?;
    let Security::Tls(identity) = security else {
        return accept_plain(stream, frame, step).await;
    };
    let transaction_id = match TlsMessage::parse(&frame[2..]) {
        Ok(TlsMessage::Starttls(id)) => id,
        _ if msg_type(&frame) == MessageType::CONNECT => {
            reject_plaintext(&mut stream, &frame, step).await;
            return Err(SetupError::Plaintext);
        }
        _ => return Err(unexpected(&frame, MessageType::STARTTLS)),
    };
    send(&mut stream, &TlsMessage::Reply(transaction_id, None), step).await?;
    let handshake = identity.acceptor().accept(stream);
    let stream = within(step, "end of the TLS handshake", handshake).await?;
    let mut secured = tls(stream.map_err(SetupError::Tls)?);
    let frame = receive(&mut secured.stream, "CONNECT", step).await?;
    connect_of(frame).map(|frame| (secured, frame))
}

async fn accept_plain(
    mut stream: TcpStream,
    mut frame: Vec<u8>,
    step: Duration,
) -> Result<(Secured, Vec<u8>), SetupError> {
    if let Ok(TlsMessage::Starttls(id)) = TlsMessage::parse(&frame[2..]) {
        let refusal = TlsMessage::refused(id, "tls = \"insecure\" is configured here");
        send(&mut stream, &refusal, step).await?;
        frame = match receive(&mut stream, "CONNECT without TLS", step).await {
            Err(SetupError::Lost(_)) => return Err(SetupError::TlsWanted),
            received => received?,
        };
    }
    let frame = connect_of(frame)?;
    Ok((plain(stream), frame))
}

/// Answers, as every CONNECT should be, so that the partner's operator learns the reason.
async fn reject_plaintext(stream: &mut TcpStream, frame: &[u8], step: Duration) {
    let Ok(connect) = FailoverMessage::parse(&frame[2..]) else {
        return;
    };
    let status = Status {
        code: StatusCode::NOT_ALLOWED,
        message: b"TLS is required: configure [failover.tls]",
    };
    let reply = Body::Connectreply(Connect {
        status: Some(status),
        ..Connect::default()
    });
    let mut buffer = [0; ANSWER_LEN_MAX];
    if let Ok(len) = reply.write(&mut buffer, connect.transaction_id) {
        wire::failover::stamp(&mut buffer[..len], crate::worker::now().0);
        // The connection is closed whether the answer gets through or not.
        let _ = within(
            step,
            "room for CONNECTREPLY",
            stream.write_all(&buffer[..len]),
        )
        .await;
    }
}

fn connect_of(frame: Vec<u8>) -> Result<Vec<u8>, SetupError> {
    match msg_type(&frame) {
        MessageType::CONNECT => Ok(frame),
        _ => Err(unexpected(&frame, MessageType::CONNECT)),
    }
}

fn unexpected(frame: &[u8], expected: MessageType) -> SetupError {
    let found = msg_type(frame);
    SetupError::Unexpected { found, expected }
}

fn msg_type(frame: &[u8]) -> MessageType {
    MessageType(frame.get(2).copied().unwrap_or(0))
}

async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    step_name: &'static str,
    step: Duration,
) -> Result<Vec<u8>, SetupError> {
    within(step, step_name, read_frame(stream, SETUP_MESSAGE_LEN_MAX)).await?
}

async fn send(
    stream: &mut TcpStream,
    message: &TlsMessage<'_>,
    step: Duration,
) -> Result<(), SetupError> {
    let mut buffer = [0; ANSWER_LEN_MAX];
    let len = message.write(&mut buffer).unwrap_or(0);
    let sent = within(step, "room for STARTTLS", stream.write_all(&buffer[..len])).await?;
    sent.map_err(|error| Lost::from(error).into())
}

/// Waits for one step of the set-up.
pub async fn within<T>(
    step: Duration,
    step_name: &'static str,
    work: impl Future<Output = T>,
) -> Result<T, SetupError> {
    let timed_out = |_| SetupError::Timeout {
        step: step_name,
        after: step,
    };
    timeout(step, work).await.map_err(timed_out)
}

fn plain(stream: TcpStream) -> Secured {
    Secured {
        stream: Box::new(stream),
        is_tls: false,
    }
}

fn tls(stream: impl Stream + 'static) -> Secured {
    Secured {
        stream: Box::new(stream),
        is_tls: true,
    }
}
