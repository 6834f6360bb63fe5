//! The kernel's counters: processor time and memory of processes, bytes and packets over loopback,
//! memory of the kernel. The parsers are pure.

use std::{fs, time::Duration};

use anyhow::Context as _;

/// Ticks per second in `/proc`; every Linux on common hardware has this value.
const TICKS_PER_SECOND: u64 = 100;

/// Bytes of a page.
const PAGE_BYTES: u64 = 4_096;

/// Processor time that a process and all its threads, including ended ones, have used.
///
/// # Errors
/// When there is no such process.
pub fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&stat).context("an unknown form of /proc/PID/stat")
}

/// Resident memory of a process in bytes.
///
/// # Errors
/// When there is no such process.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = statm.split(' ').nth(1).context("no resident pages")?;
    Ok(pages.parse::<u64>()? * PAGE_BYTES)
}

/// The traffic over the loopback interface of this network namespace so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// IP bytes.
    pub bytes: u64,
    /// IP packets, as handed to the interface.
    pub packets: u64,
}

impl Traffic {
    /// The counters now.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn now() -> anyhow::Result<Self> {
        let read = |name: &str| -> anyhow::Result<u64> {
            let dev = fs::read_to_string("/proc/net/dev")?;
            parse_dev(&dev, name).context("no loopback in /proc/net/dev")
        };
        Ok(Self {
            bytes: read("bytes")?,
            packets: read("packets")?,
        })
    }

    /// The difference to `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            bytes: self.bytes - earlier.bytes,
            packets: self.packets - earlier.packets,
        }
    }
}

/// Kernel memory used by connections: the buffers of all sockets, and all small kernel objects, of
/// which each socket needs several. It is for the whole machine, so only growth is meaningful.
///
/// # Errors
/// When the kernel does not tell.
pub fn kernel_bytes() -> anyhow::Result<u64> {
    let sockstat = fs::read_to_string("/proc/net/sockstat")?;
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let slab = parse_slab(&meminfo).context("no Slab in /proc/meminfo")?;
    Ok(parse_sockstat(&sockstat) * PAGE_BYTES + slab)
}

/// Processor time of the whole machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineTime {
    /// In processes and in the kernel on their behalf.
    pub used: Duration,
    /// Taken by other machines on the same hardware.
    pub stolen: Duration,
}

impl MachineTime {
    /// The counters now.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn now() -> anyhow::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        parse_machine(&stat).context("an unknown form of /proc/stat")
    }
}

fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * 1_000 / TICKS_PER_SECOND)
}

fn parse_stat(stat: &str) -> Option<Duration> {
    // The name is in parentheses and may contain anything; fields 14 and 15 are user and system.
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(ticks(user + system))
}

fn parse_dev(dev: &str, name: &str) -> Option<u64> {
    let line = dev
        .lines()
        .find_map(|line| line.trim().strip_prefix("lo:"))?;
    // Received and sent are the same on loopback.
    let column = if name == "bytes" { 0 } else { 1 };
    line.split_whitespace().nth(column)?.parse().ok()
}

fn parse_sockstat(sockstat: &str) -> u64 {
    let memory = |line: &str| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "mem");
        words.nth(1)?.parse::<u64>().ok()
    };
    let own = |line: &&str| line.starts_with("TCP:") || line.starts_with("UDP:");
    sockstat.lines().filter(own).filter_map(memory).sum()
}

fn parse_slab(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("Slab:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1_024)
}

fn parse_machine(stat: &str) -> Option<MachineTime> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _idle, _wait, _irq, _softirq, stolen, ..] = fields[..] else {
        return None;
    };
    Some(MachineTime {
        used: ticks(user + nice + system),
        stolen: ticks(stolen),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_user_and_system_whatever_the_name() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 7 7 20 0 3 0 100";
        assert_eq!(parse_stat(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn loopback_is_found_among_the_interfaces() {
        let dev = "Inter-|   Receive\n face |bytes packets\n  eth0: 1 2 0\n    lo:  5000      40    0 0\n";
        assert_eq!(
            (parse_dev(dev, "bytes"), parse_dev(dev, "packets")),
            (Some(5_000), Some(40))
        );
    }

    #[test]
    fn socket_memory_is_that_of_tcp_and_udp() {
        let sockstat = "sockets: used 300\nTCP: inuse 5 orphan 0 tw 0 alloc 9 mem 3\nUDP: inuse 1 mem 2\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 7\n";
        assert_eq!(parse_sockstat(sockstat), 5);
    }

    #[test]
    fn small_objects_of_the_kernel_are_its_slabs() {
        let meminfo = "MemTotal:  100 kB\nSlab:     12 kB\nSReclaimable:  5 kB\n";
        assert_eq!(parse_slab(meminfo), Some(12 * 1_024));
    }

    #[test]
    fn machine_time_leaves_out_waiting_and_interrupts() {
        let stat = "cpu  100 50 50 900 80 70 60 30 0 0\ncpu0 1 1 1 1\n";
        let expected = MachineTime {
            used: Duration::from_secs(2),
            stolen: Duration::from_millis(300),
        };
        assert_eq!(parse_machine(stat), Some(expected));
    }

    #[test]
    fn this_process_can_be_measured() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 100_000);
        processor_time(pid).unwrap();
        MachineTime::now().unwrap();
        assert!(kernel_bytes().unwrap() > 0);
        Traffic::now().unwrap();
    }
}
