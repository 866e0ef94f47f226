//! Where requests come from, and what clients say that they are.

use rand::Rng;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

/// Addresses of an account.
#[derive(Debug, Clone)]
pub(super) enum Network {
    /// Mostly home, sometimes a phone on a carrier's shared addresses.
    Home { home: String, carrier: String },
    /// One address.
    Fixed(String),
    /// Any of these, another each time.
    Pool(Vec<String>),
}

impl Network {
    pub(super) fn address(&self, rng: &mut ChaCha8Rng) -> String {
        match self {
            Self::Home { home, .. } if rng.random_bool(0.85) => home.clone(),
            Self::Home { carrier, .. } => {
                format!("{carrier}.{}", rng.random_range(1..255))
            }
            Self::Fixed(address) => address.clone(),
            Self::Pool(pool) => pool.choose(rng).cloned().unwrap_or_default(),
        }
    }
}

/// An address out of all.
pub(super) fn address(rng: &mut ChaCha8Rng) -> String {
    let [b, c, d] = [(); 3].map(|()| rng.random_range(1..255));
    format!("{}.{b}.{c}.{d}", rng.random_range(11..223))
}

/// A home with its carrier; there are few carriers, so phones of strangers share addresses.
pub(super) fn home(rng: &mut ChaCha8Rng) -> Network {
    let carrier = rng.random_range(0..60);
    Network::Home { home: address(rng), carrier: format!("100.{}.{}", 64 + carrier / 8, carrier) }
}

/// One address of a cloud. Clouds are few networks, and some programs run where hundreds leave
/// by the same door.
pub(super) fn cloud(rng: &mut ChaCha8Rng) -> String {
    if rng.random_bool(0.25) {
        return format!("44.210.7.{}", rng.random_range(1..60));
    }
    let net = *[(3, 120), (34, 82), (20, 51), (159, 69), (45, 33)].choose(rng).unwrap_or(&(3, 120));
    format!("{}.{}.{}.{}", net.0, net.1, rng.random_range(0..255), rng.random_range(1..255))
}

/// Addresses of a VPN or a proxy service.
pub(super) fn pool(rng: &mut ChaCha8Rng, n: usize) -> Vec<String> {
    (0..n).map(|_| address(rng)).collect()
}

const BROWSERS: [&str; 7] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/129.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.5 Safari/605.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/128.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
    "ChatApp/4.12 (iOS)",
    "ChatApp/4.11 (Android)",
];

const LIBRARIES: [&str; 8] = [
    "OpenAI/Python 1.60.1",
    "OpenAI/Python 1.55.3",
    "OpenAI/JS 4.77.0",
    "python-requests/2.32.3",
    "langchain/0.3",
    "axios/1.7.9",
    "curl/8.5.0",
    "Go-http-client/2.0",
];

/// A person's client.
pub(super) fn browser(rng: &mut ChaCha8Rng) -> String {
    BROWSERS.choose(rng).map(|s| (*s).to_owned()).unwrap_or_default()
}

/// A program's client, the popular ones more often.
pub(super) fn library(rng: &mut ChaCha8Rng) -> String {
    let at = super::grammar::zipf(rng, LIBRARIES.len());
    LIBRARIES.get(at).map(|s| (*s).to_owned()).unwrap_or_default()
}
