//! The emulator: two TUN devices, and for each direction a thread that takes packets and one that
//! delivers them when they are due. It lives as long as its process.

use std::{
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::{
    conditions::{Conditions, Counts, Direction},
    impairment::Impairment,
    lab::{INSIDE, OUTSIDE},
};

/// Largest IP packet: that of Ethernet.
const MTU: u16 = 1_500;

/// Packets that may be under way in one direction. Further ones are lost, and counted as lost.
const UNDER_WAY_MAX: usize = 16_384;

/// Names of the devices, in the namespace of the caller and in the other.
const DEVICES: [&str; 2] = ["lab-outside", "lab-inside"];

/// A running emulator.
pub struct Link {
    inward: Arc<Mutex<Way>>,
    outward: Arc<Mutex<Way>>,
}

/// One direction.
struct Way {
    impairment: Impairment,
    counts: Counts,
}

/// A packet that will arrive.
struct Packet {
    due: Duration,
    bytes: Box<[u8]>,
}

impl Link {
    /// Connects this network namespace with that of the process `inside`, as [`OUTSIDE`] and [`INSIDE`].
    /// `seed` decides the losses.
    ///
    /// # Errors
    /// When this namespace has other devices than loopback (it would be the machine's), or devices
    /// cannot be made.
    pub fn open(inside: u32, seed: u64) -> anyhow::Result<Self> {
        require_own_namespace()?;
        let [near, far] = DEVICES.map(device);
        let (near, far) = (near?, far?);
        let pid = inside.to_string();
        run("ip", &["link", "set", DEVICES[1], "netns", &pid])?;
        set_up("sh", &["-c"], DEVICES[0], &OUTSIDE.to_string())?;
        let enter = ["--target", &pid, "--net", "sh", "-c"];
        set_up("nsenter", &enter, DEVICES[1], &INSIDE.to_string())?;
        let start = Instant::now();
        let way = |seed| {
            Arc::new(Mutex::new(Way {
                impairment: Impairment::new(seed),
                counts: Counts::default(),
            }))
        };
        let [inward, outward] = [seed, !seed].map(way);
        for (from, to, way) in [(&near, &far, &inward), (&far, &near, &outward)] {
            let (sender, receiver) = sync_channel(UNDER_WAY_MAX);
            let (from, to, way) = (from.clone(), to.clone(), way.clone());
            thread::spawn(move || take_all(&from, &way, start, &sender));
            thread::spawn(move || deliver_all(&to, start, &receiver));
        }
        Ok(Self { inward, outward })
    }

    /// From now on a direction has these conditions.
    pub fn set(&self, direction: Direction, conditions: Conditions) {
        let way = match direction {
            Direction::Inward => &self.inward,
            Direction::Outward => &self.outward,
        };
        lock(way).impairment.set(conditions);
    }

    /// The traffic so far.
    pub fn counts(&self) -> Counts {
        let [inward, outward] = [&self.inward, &self.outward].map(|way| lock(way).counts);
        Counts {
            packets: inward.packets + outward.packets,
            bytes: inward.bytes + outward.bytes,
            lost: inward.lost + outward.lost,
        }
    }
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_all(from: &SyncDevice, way: &Mutex<Way>, start: Instant, under_way: &SyncSender<Packet>) {
    let mut buffer = vec![0; usize::from(MTU)];
    // A device that cannot be read has gone, and the lab with it.
    while let Ok(length) = from.recv(&mut buffer) {
        let bytes = &buffer[..length];
        // The announcements of IPv6 on a new device are not traffic of a user.
        if bytes.first().is_none_or(|first| first >> 4 != 4) {
            continue;
        }
        let mut way = lock(way);
        way.counts.packets += 1;
        way.counts.bytes += length as u64;
        let due = way.impairment.pass(start.elapsed(), length);
        let is_taken = due.is_some_and(|due| {
            let bytes = bytes.into();
            under_way.try_send(Packet { due, bytes }).is_ok()
        });
        way.counts.lost += u64::from(!is_taken);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own that lets packets arrive; tokio's timers are a millisecond coarse"
)]
fn deliver_all(to: &SyncDevice, start: Instant, under_way: &Receiver<Packet>) {
    for packet in under_way {
        thread::sleep(packet.due.saturating_sub(start.elapsed()));
        // The other end may refuse a packet, as a network does, silently.
        let _ = to.send(&packet.bytes);
    }
}

fn device(name: &str) -> anyhow::Result<Arc<SyncDevice>> {
    let device = DeviceBuilder::new().name(name).mtu(MTU).enable(false);
    let device = device.build_sync();
    let why =
        "cannot make a TUN device: /dev/net/tun and the right to administer networks are needed";
    Ok(Arc::new(device.context(why)?))
}

fn set_up(program: &str, arguments: &[&str], device: &str, address: &str) -> anyhow::Result<()> {
    let script = format!("ip addr add {address}/30 dev {device} && ip link set {device} up");
    let mut all = arguments.to_vec();
    all.push(&script);
    run(program, &all)
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("cannot run `{program}`"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` failed: {}", arguments.join(" "), why.trim());
    }
    Ok(())
}

/// A lab puts addresses and devices into its namespace: never into that of the machine.
fn require_own_namespace() -> anyhow::Result<()> {
    let devices = std::fs::read_to_string("/proc/self/net/dev")?;
    let names = devices.lines().filter_map(|line| line.split_once(':'));
    let others = names.map(|(name, _)| name.trim());
    if others.into_iter().any(|name| name != "lo") {
        bail!("a lab needs a network namespace of its own: start it with `unshare --net`");
    }
    Ok(())
}
