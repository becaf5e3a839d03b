use std::fs;
use std::net::Ipv6Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// The PEM files that a `[failover.tls]` names.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's own certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who may vouch for the partner.
    pub ca: PathBuf,
}

/// A certification authority that lives as long as the test.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes the authority `name` with its certificate in `dir`.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn new(dir: &Path, name: &str) -> Result<Authority> {
        let dir = dir.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        fs::write(dir.join("ca.pem"), params.self_signed(&key)?.pem())?;
        Ok(Authority {
            dir,
            issuer: Issuer::new(params, key),
        })
    }

    /// The authority's own certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A new certificate for the server at `address`, with its key, as files.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn certify(&self, address: Ipv6Addr) -> Result<TlsFiles> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new([address.to_string()])?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let name = address.to_string().replace(':', "-");
        let files = TlsFiles {
            certificate: self.dir.join(format!("{name}.pem")),
            key: self.dir.join(format!("{name}.key")),
            ca: self.ca(),
        };
        fs::write(&files.certificate, certificate.pem())?;
        fs::write(&files.key, key.serialize_pem())?;
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600))?;
        Ok(files)
    }
}
