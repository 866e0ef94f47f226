//! The HTTP client under the exporter of spans: rustls with ring, HTTP/1.1, bounded in time and
//! size. OpenTelemetry's own clients would bring a second HTTP and TLS stack.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{HttpClient, HttpError};
use rustls::crypto::ring;
use std::{pin::Pin, sync::Arc, time::Duration};

/// An end point that takes longer for a batch has lost it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer that is read, bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The client.
#[derive(Debug, Clone)]
pub(super) struct Otlp {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Otlp {
    /// A client without connections.
    ///
    /// # Errors
    /// The TLS library refuses its settings.
    pub(super) fn new() -> Result<Self, rustls::Error> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(Arc::new(ring::default_provider()))?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Ok(Self { client })
    }

    async fn send(self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = async {
            let response = self.client.request(request.map(Full::new)).await?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        tokio::time::timeout(TIMEOUT, exchange).await?
    }
}

// The trait is declared with `async_trait`; this is what that makes of it.
impl HttpClient for Otlp {
    fn send_bytes<'s, 'f>(
        &'s self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(self.clone().send(request))
    }
}
