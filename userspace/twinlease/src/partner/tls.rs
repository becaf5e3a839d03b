//! Who we are and whom we trust: certificates of a relationship (RFC 8156 §10, RFC 9325).
//!
//! The partner is accepted if its certificate leads to the configured CA, is made for its role
//! (client authentication for a primary, server authentication for a secondary, where the
//! certificate limits its use) and carries the expected name: the DNS name `partner-name` if the
//! relationship has one, else the partner's configured IP address, as a subject alternative name.
//! So a certificate of the same CA that belongs to another machine is of no use.
//!
//! Files are read anew for every connection: a renewed certificate needs no restart.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::{Resumption, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Where the certificates of a relationship are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate and what is between it and the CA, PEM.
    pub certificate: PathBuf,
    /// The key of our certificate, PEM.
    pub key: PathBuf,
    /// The certificates that may vouch for the partner, PEM.
    pub ca: PathBuf,
    /// DNS name in the partner's certificate; `None`: its configured IP address.
    pub partner_name: Option<String>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("{}: {error}", path.display())]
    File {
        /// Key of the config that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: pem::Error,
    },
    /// A file holds nothing of what it should.
    #[error("{} holds no certificate", path.display())]
    Empty {
        /// Key of the config that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not fit each other or are of a kind that is not supported.
    #[error("{} cannot be used: {error}", path.display())]
    Unusable {
        /// Key of the config that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: rustls::Error,
    },
    /// `partner-name` is no DNS name.
    #[error("\"{0}\" is no DNS name")]
    PartnerName(String),
}

impl TlsError {
    /// The key of `[failover.tls]` that is at fault.
    pub fn key(&self) -> &'static str {
        match self {
            Self::File { key, .. } | Self::Empty { key, .. } | Self::Unusable { key, .. } => key,
            Self::PartnerName(_) => "partner-name",
        }
    }
}

/// Our certificate and the partner's expected one.
#[derive(Debug)]
pub struct Identity {
    files: TlsFiles,
    partner: ServerName<'static>,
    /// As last read without fault.
    configs: Mutex<Configs>,
}

#[derive(Clone, Debug)]
struct Configs {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Identity {
    /// Reads the files; the partner is at `partner`.
    ///
    /// # Errors
    /// [`TlsError`], which names the file and what is wrong with it.
    pub fn load(files: &TlsFiles, partner: IpAddr) -> Result<Self, TlsError> {
        let partner = match &files.partner_name {
            Some(name) => ServerName::try_from(name.clone())
                .ok()
                .filter(|name| matches!(name, ServerName::DnsName(_)))
                .ok_or_else(|| TlsError::PartnerName(name.clone()))?,
            None => ServerName::IpAddress(partner.into()),
        };
        let configs = Configs::load(files, &partner)?;
        Ok(Self {
            files: files.clone(),
            partner,
            configs: Mutex::new(configs),
        })
    }

    /// For a connection to the partner, and the name its certificate must carry.
    pub(super) fn connector(&self) -> (TlsConnector, ServerName<'static>) {
        (self.current().client.into(), self.partner.clone())
    }

    /// For a connection from the partner.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current().server.into()
    }

    /// What the files say now; if they are at fault, what they said last.
    fn current(&self) -> Configs {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        match Configs::load(&self.files, &self.partner) {
            Ok(read) => *configs = read,
            Err(error) => {
                tracing::warn!(%error, "failover certificates: those read before are used")
            }
        }
        configs.clone()
    }
}

impl Configs {
    fn load(files: &TlsFiles, partner: &ServerName<'static>) -> Result<Self, TlsError> {
        let chain = certificates("certificate", &files.certificate)?;
        let key = private_key(&files.key)?;
        let roots = Arc::new(roots(&files.ca)?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable = |key, path: &Path| {
            let path = path.to_owned();
            move |error| TlsError::Unusable { key, path, error }
        };
        let own = |error| unusable("certificate", &files.certificate)(error);
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(own)?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(chain.clone(), key.clone_key());
        let mut client = client.map_err(own)?;
        let verifier = PinnedClient::new(roots, &provider, partner.clone())
            .map_err(unusable("ca", &files.ca))?;
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(own)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(chain, key);
        let mut server = server.map_err(own)?;
        // Every connection shows its certificates: none lives on in a session of the past.
        client.resumption = Resumption::disabled();
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let broken = |error| TlsError::File {
        key,
        path: path.to_owned(),
        error,
    };
    let read = CertificateDer::pem_file_iter(path).map_err(broken)?;
    let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(broken)?;
    if certificates.is_empty() {
        let path = path.to_owned();
        return Err(TlsError::Empty { key, path });
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::File {
        key: "key",
        path: path.to_owned(),
        error,
    })
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", path)? {
        roots.add(certificate).map_err(|error| TlsError::Unusable {
            key: "ca",
            path: path.to_owned(),
            error,
        })?;
    }
    Ok(roots)
}

/// Verifies a primary as a client is: rustls knows names of servers only.
#[derive(Debug)]
struct PinnedClient {
    webpki: Arc<dyn ClientCertVerifier>,
    name: ServerName<'static>,
}

impl PinnedClient {
    fn new(
        roots: Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
        name: ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        let webpki = builder
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Self { webpki, name })
    }
}

impl ClientCertVerifier for PinnedClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self
            .webpki
            .verify_client_cert(end_entity, intermediates, now)?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, &self.name)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}
