//! TLS towards upstreams: public authorities, or those of a file.

use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::path::Path;
use std::sync::Arc;

/// Settings that trust the public authorities, or only those in `ca_file`.
pub(super) fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let in_file = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
            for der in CertificateDer::pem_file_iter(path).map_err(|e| in_file(&e))? {
                roots.add(der.map_err(|e| in_file(&e))?).map_err(|e| in_file(&e))?;
            }
            if roots.is_empty() {
                return Err(in_file(&"no certificate in it, expected PEM"));
            }
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
