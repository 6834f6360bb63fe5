//! Notices when everybody seems to come from one address: then a proxy stands in front that nobody told
//! us about, and all people share one limit.

use std::net::IpAddr;

/// How many people must have registered from one address, and nobody from another one. One person who
/// tries the server out stays below it; a site behind a proxy reaches it before the default limit of 120
/// refuses anybody.
pub const PEOPLE: u32 = 50;

/// What has been seen so far. Constant memory.
#[derive(Default)]
pub struct SoleAddress {
    first: Option<IpAddr>,
    people: u32,
    is_settled: bool,
}

impl SoleAddress {
    /// Notes a request of somebody, and whether it is a registration. Returns true once: when [`PEOPLE`]
    /// people came, all from one address.
    pub fn note(&mut self, address: IpAddr, is_registration: bool) -> bool {
        if self.is_settled {
            return false;
        }
        if *self.first.get_or_insert(address) != address {
            self.is_settled = true;
            return false;
        }
        self.people += u32::from(is_registration);
        self.is_settled = self.people >= PEOPLE;
        self.is_settled
    }

    /// Whether there is nothing left to find out.
    pub const fn is_settled(&self) -> bool {
        self.is_settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn it_is_said_once_when_everybody_comes_from_one_address() {
        let mut sole = SoleAddress::default();
        for _ in 1..PEOPLE {
            assert!(!sole.note(ip(1), false), "one person may ask often");
            assert!(!sole.note(ip(1), true));
        }
        assert!(sole.note(ip(1), true));
        assert!(sole.is_settled());
        assert!((0..1_000).all(|_| !sole.note(ip(1), true)));
    }

    #[test]
    fn two_addresses_settle_it() {
        let mut sole = SoleAddress::default();
        assert!(!sole.note(ip(1), true));
        assert!(!sole.note(ip(2), false));
        assert!(sole.is_settled());
        assert!((0..1_000).all(|_| !sole.note(ip(1), true)));
    }
}
