//! Which address a request comes from.
//!
//! Only proxies that the configuration names are believed: where the socket's other end is one of
//! them, `x-forwarded-for` is read from the right, and the first address that isn't a trusted proxy
//! is the client's. What stands to the left of it is a claim of the client's own.

use http::HeaderMap;
use std::net::IpAddr;

/// Addresses of trusted proxies.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies(Vec<(IpAddr, u8)>);

impl TrustedProxies {
    /// From addresses and networks (`10.0.0.0/8`).
    pub(crate) fn parse(listed: &[String]) -> Result<Self, String> {
        listed
            .iter()
            .map(|text| {
                let wrong =
                    || format!("{text:?}: expected an address or a network like \"10.0.0.0/8\"");
                let (address, bits) = match text.split_once('/') {
                    None => (text.as_str(), None),
                    Some((address, bits)) => {
                        (address, Some(bits.parse::<u8>().map_err(|_| wrong())?))
                    }
                };
                let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
                let width = if address.is_ipv4() { 32 } else { 128 };
                let bits = bits.unwrap_or(width);
                if bits > width { Err(wrong()) } else { Ok((address, bits)) }
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }

    fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|(network, bits)| match (network, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(*bits);
                network.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(*bits);
                network.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
            }
            _ => false,
        })
    }

    /// The client's address, given that of the socket's other end.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if self.0.is_empty() || !self.contains(peer) {
            return peer;
        }
        let mut client = peer;
        let lines: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .map(|value| value.to_str().unwrap_or(""))
            .collect();
        for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            // What can't be read ends the chain that can be trusted.
            let Some(ip) = address(entry.trim()) else { break };
            client = ip;
            if !self.contains(ip) {
                break;
            }
        }
        client
    }
}

/// An address, perhaps with a port (`1.2.3.4:5`, `[::1]:5`).
fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
        .map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn believes_only_whom_it_was_told_to() {
        let trusted: Vec<String> =
            ["10.0.0.0/8", "::1", "192.0.2.7"].iter().map(ToString::to_string).collect();
        let trusted = TrustedProxies::parse(&trusted).expect("addresses");
        for (peer, forwarded, client) in [
            ("203.0.113.9", &["1.1.1.1"][..], "203.0.113.9"),
            ("10.1.2.3", &["1.1.1.1"], "1.1.1.1"),
            ("10.1.2.3", &["6.6.6.6, 1.1.1.1, 10.9.9.9"], "1.1.1.1"),
            ("10.1.2.3", &["6.6.6.6", "1.1.1.1,192.0.2.7"], "1.1.1.1"),
            ("10.1.2.3", &["6.6.6.6, garbage, 10.9.9.9"], "10.9.9.9"),
            ("10.1.2.3", &["6.6.6.6, "], "10.1.2.3"),
            ("10.1.2.3", &[], "10.1.2.3"),
            ("::1", &["1.1.1.1:443"], "1.1.1.1"),
            ("::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("::ffff:10.1.2.3", &["::ffff:1.1.1.1"], "1.1.1.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append("x-forwarded-for", line.parse().expect("a value"));
            }
            let found = trusted.client(peer.parse().expect("an address"), &headers);
            assert_eq!(found.to_string(), client, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn everyone_is_a_network_of_no_bits() {
        let all = TrustedProxies::parse(&["0.0.0.0/0".to_owned()]).expect("a network");
        assert!(all.contains("8.8.8.8".parse().expect("an address")));
    }

    #[test]
    fn refuses_what_is_no_network() {
        for wrong in ["", "10.0.0.0/33", "host", "10.0.0.0/", "::1/129", "10.0.0/8"] {
            assert!(TrustedProxies::parse(&[wrong.to_owned()]).is_err(), "{wrong:?}");
        }
    }
}
