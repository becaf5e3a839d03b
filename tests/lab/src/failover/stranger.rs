use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::certificates::TlsFiles;
use super::config::{Relationship, Role};
use crate::message::{code, find, kind, read_options, write_options};
use crate::namespace::Namespace;

/// STARTTLS (RFC 7653 §8.2); its answer is a REPLY.
const STARTTLS: u8 = 23;
/// CONNECT (RFC 8156 §5.3.8).
const CONNECT: u8 = 31;
/// OPTION_F_RELATIONSHIP_NAME (RFC 8156 §5.5.18).
const RELATIONSHIP_NAME: u16 = 130;
const PORT: u16 = 647;
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Somebody who connects to the secondary from the primary's address.
#[derive(Debug)]
pub struct Stranger {
    stream: TcpStream,
    secondary: Ipv6Addr,
}

/// What comes for a CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A message of this type with this status code, 0 if it has none.
    Message(u8, u16),
    /// The end of the connection, with the reason if TLS gives one.
    End(String),
}

impl Stranger {
    /// Connects from `namespace`, that of the primary.
    ///
    /// # Errors
    /// The secondary does not listen.
    pub fn connect(namespace: &Namespace) -> Result<Stranger> {
        let secondary = Role::Secondary.address();
        let to = SocketAddr::from((secondary, PORT));
        let stream = namespace.inside(|| {
            TcpStream::connect_timeout(&to, LIMIT)
                .with_context(|| format!("cannot connect to {to}"))
        })?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Stranger { stream, secondary })
    }

    /// Sends CONNECT as it is.
    ///
    /// # Errors
    /// Nothing comes in time, or what comes is malformed.
    pub fn in_clear(mut self) -> Result<Answer> {
        self.stream.write_all(&connect())?;
        answer(&mut self.stream)
    }

    /// STARTTLS, TLS with the certificate of `own`, if any, trusting `ca`, and then CONNECT.
    ///
    /// # Errors
    /// STARTTLS is refused, nothing comes in time, or what comes is malformed.
    pub fn by_tls(mut self, ca: &Path, own: Option<&TlsFiles>) -> Result<Answer> {
        self.stream.write_all(&frame(STARTTLS, &[]))?;
        match answer(&mut self.stream)? {
            Answer::Message(kind::REPLY, 0) => {}
            other => bail!("the answer to STARTTLS is {other:?}"),
        }
        let name = ServerName::IpAddress(self.secondary.into());
        let tls = ClientConnection::new(Arc::new(tls_config(ca, own)?), name)?;
        let mut stream = StreamOwned::new(tls, self.stream);
        // The refusal of a certificate may come before or after CONNECT is written.
        match stream.write_all(&connect()) {
            Ok(()) => answer(&mut stream),
            Err(error) => Ok(Answer::End(error.to_string())),
        }
    }
}

fn tls_config(ca: &Path, own: Option<&TlsFiles>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    Ok(match own {
        None => config.with_no_client_auth(),
        Some(own) => config.with_client_auth_cert(
            vec![CertificateDer::from_pem_file(&own.certificate)?],
            PrivateKeyDer::from_pem_file(&own.key)?,
        )?,
    })
}

fn connect() -> Vec<u8> {
    // sent-time, which a secondary that lets us in finds wrong; it answers all the same.
    let mut body = vec![0; 4];
    let name = Relationship::NAME.as_bytes().to_vec();
    write_options(&[(RELATIONSHIP_NAME, name)], &mut body);
    frame(CONNECT, &body)
}

/// A message of type `kind` with the transaction-id 1 (RFC 8156 §5.2).
fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(4 + body.len()).unwrap_or(u16::MAX);
    let mut frame = len.to_be_bytes().to_vec();
    frame.extend([kind, 0, 0, 1]);
    frame.extend(body);
    frame
}

fn answer(stream: &mut impl Read) -> Result<Answer> {
    let mut len = [0; 2];
    match stream.read_exact(&mut len) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            bail!("neither an answer nor an end within {LIMIT:?}");
        }
        Err(error) => return Ok(Answer::End(error.to_string())),
    }
    let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut message)?;
    let msg_type = *message.first().context("an empty message")?;
    // The answer to STARTTLS has no sent-time.
    let header = if msg_type == kind::REPLY { 4 } else { 8 };
    let options = read_options(message.get(header..).context("a message is too short")?)?;
    let status = find(&options, code::STATUS_CODE);
    let status = status.map_or(Some(0), |data| {
        Some(u16::from_be_bytes(*data.first_chunk()?))
    });
    Ok(Answer::Message(
        msg_type,
        status.context("a status code is too short")?,
    ))
}
