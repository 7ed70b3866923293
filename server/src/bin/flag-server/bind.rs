//! What `--bind` means: which addresses each listener listens on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use flag_scenario::Scenario;
use flag_server::{Listener, OtherAddress};

/// The most addresses of a listener.
const MAX_ADDRESSES: usize = 16;

/// The addresses of each listener, of which the first is printed.
#[derive(Debug, Clone)]
pub(crate) struct Bind {
    first: IpAddr,
    others: Vec<OtherAddress>,
}

impl Default for Bind {
    /// Loopback: `localhost` is `::1` first on many systems, and 127.0.0.1 on all.
    fn default() -> Self {
        Self {
            first: Ipv4Addr::LOCALHOST.into(),
            others: vec![OtherAddress {
                ip: Ipv6Addr::LOCALHOST.into(),
                is_optional: true,
            }],
        }
    }
}

impl Bind {
    /// Those of these addresses and names; loopback without any.
    ///
    /// # Errors
    /// With the remedy.
    pub(crate) fn read(texts: &[String]) -> Result<Self, String> {
        let mut found: Vec<OtherAddress> = Vec::new();
        for text in texts {
            for address in addresses(text)? {
                match found.iter_mut().find(|known| known.ip == address.ip) {
                    Some(known) => known.is_optional &= address.is_optional,
                    None => found.push(address),
                }
            }
        }
        if found.len() > MAX_ADDRESSES {
            return Err(format!(
                "{} addresses; give at most {MAX_ADDRESSES}",
                found.len()
            ));
        }
        let mut found = found.into_iter();
        Ok(found.next().map_or_else(Self::default, |first| Self {
            first: first.ip,
            others: found.collect(),
        }))
    }

    /// A listener on these addresses and this port.
    pub(crate) fn listener(&self, name: String, port: u16, scenario: Scenario) -> Listener {
        Listener {
            others: self.others.clone(),
            ..Listener::new(name, SocketAddr::new(self.first, port), scenario)
        }
    }
}

/// The address that a text is, or those that it names: those of IPv4 first, as they are printed. A
/// machine may lack some of a name's.
fn addresses(text: &str) -> Result<Vec<OtherAddress>, String> {
    const REMEDY: &str = "give an address or a name of this machine, such as 127.0.0.1, ::1 or \
                          localhost";
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    if let Ok(ip) = bare.unwrap_or(text).parse() {
        let is_optional = false;
        return Ok(vec![OtherAddress { ip, is_optional }]);
    }
    let cannot = |reason: io::Error| format!("{text:?} has no address ({reason}); {REMEDY}");
    let found = (text, 0).to_socket_addrs().map_err(cannot)?;
    let mut found: Vec<OtherAddress> = found
        .map(|address| OtherAddress {
            ip: address.ip(),
            is_optional: true,
        })
        .collect();
    found.sort_by_key(|address| address.ip.is_ipv6());
    if found.is_empty() {
        return Err(format!("{text:?} has no address; {REMEDY}"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<(IpAddr, Vec<(IpAddr, bool)>), String> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let bind = Bind::read(&texts)?;
        let others = bind.others.iter();
        let others = others.map(|other| (other.ip, other.is_optional)).collect();
        Ok((bind.first, others))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_default_is_loopback_with_an_ipv6_that_may_be_missing() {
        let expected = (ip("127.0.0.1"), vec![(ip("::1"), true)]);
        assert_eq!(read(&[]), Ok(expected));
    }

    #[test]
    fn addresses_are_taken_as_they_are_and_once() {
        assert_eq!(read(&["0.0.0.0"]), Ok((ip("0.0.0.0"), vec![])));
        assert_eq!(read(&["[::1]"]), Ok((ip("::1"), vec![])));
        let both = (ip("::1"), vec![(ip("127.0.0.1"), false)]);
        assert_eq!(read(&["::1", "127.0.0.1", "::1"]), Ok(both));
    }

    #[test]
    fn a_name_stands_for_its_addresses_of_which_ipv4_is_first() {
        let (first, others) = read(&["localhost"]).unwrap();
        assert!(first.is_loopback(), "{first}");
        assert!(
            others
                .iter()
                .all(|(ip, is_optional)| ip.is_loopback() && *is_optional)
        );
        // Given as an address too, it is not optional any more.
        let (_, others) = read(&["localhost", "::1"]).unwrap();
        assert!(
            others.contains(&(ip("::1"), false)) || read(&["localhost"]).unwrap().0 == ip("::1")
        );
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_remedy() {
        for text in ["", "256.0.0.1", "127.0.0.1:80", "[::1", "no such name"] {
            let problem = read(&[text]).unwrap_err();
            assert!(
                problem.ends_with("such as 127.0.0.1, ::1 or localhost"),
                "{problem}"
            );
        }
        let many: Vec<String> = (0..17).map(|last| format!("127.0.0.{last}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(read(&many).unwrap_err(), "17 addresses; give at most 16");
    }
}
