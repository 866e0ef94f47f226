//! TLS on the public address. The certificate is read again when its file changes, so that a
//! renewal needs no restart.

use crate::GuardError;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Certificate and key in use, and where they came from.
#[derive(Debug)]
pub(super) struct Tls {
    cert: PathBuf,
    key: PathBuf,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads both files.
    pub(super) fn read(cert: &Path, key: &Path) -> Result<Self, GuardError> {
        let config = ArcSwap::new(server_config(cert, key)?);
        Ok(Self { cert: cert.to_owned(), key: key.to_owned(), config })
    }

    /// Shakes hands.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.config.load_full()).accept(stream).await
    }

    fn changed_at(&self) -> Option<(SystemTime, SystemTime)> {
        let of = |path: &Path| fs_err::metadata(path).and_then(|m| m.modified()).ok();
        Some((of(&self.cert)?, of(&self.key)?))
    }
}

/// Watches the files for ever. Files that can't be used leave the certificate in use as it is.
pub(super) async fn reload(tls: Option<&Tls>) {
    let Some(tls) = tls else { return std::future::pending().await };
    let mut seen = tls.changed_at();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = tls.changed_at();
        if now.is_none() || now == seen {
            continue;
        }
        seen = now;
        match server_config(&tls.cert, &tls.key) {
            Ok(config) => {
                tls.config.store(config);
                tracing::info!(file = %tls.cert.display(), "the certificate was read again");
            }
            Err(error) => tracing::error!(%error, "the changed certificate can't be used"),
        }
    }
}

fn server_config(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, GuardError> {
    let wrong = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
        GuardError::setting(format!("listen.{what}: {}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| wrong("tls_cert", cert, &e))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong("tls_key", key, &e))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong("tls_cert", cert, &e))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|e| wrong("tls_cert", cert, &e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
