//! How many files the process may have open: raised as far as the system allows, and compared with what
//! is configured.

use crate::config::ClientLimits;

/// Most files that are asked for: more sockets than one process serves.
const FILES_MAX: u64 = 1 << 20;

/// What counts when the system does not say: the usual limit.
const USUAL: u64 = 1_024;

/// Bounds of the files that are kept for everything but HTTP connections: the store, the log, the sockets
/// towards database and broker, and spare connections.
const KEPT: (u64, u64) = (96, 1_024);

/// Raises the limit of open files; returns it.
pub(in crate::server) fn raise() -> u64 {
    let raised = rlimit::increase_nofile_limit(FILES_MAX);
    raised.unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of open files cannot be raised");
        let limit = rlimit::Resource::NOFILE.get();
        limit.map_or(USUAL, |(soft, _)| soft)
    })
}

/// Most HTTP connections of a process that may have this many files: twice as many as clients may be
/// connected, since REST needs some too.
pub(in crate::server) fn connections(files: u64, limits: &ClientLimits) -> usize {
    let free = files - kept(files);
    let wanted = u64::from(limits.connections_max) * 2 + KEPT.0;
    usize::try_from(free.min(wanted)).unwrap_or(usize::MAX)
}

/// Says in the log when the files do not suffice for the connections.
pub(in crate::server) fn compare(files: u64, limits: &ClientLimits) {
    let (free, wanted) = (files - kept(files), limits.connections_max);
    if free < u64::from(wanted) {
        tracing::warn!(
            files,
            connections = free,
            connections_max = wanted,
            "the limit of open files allows fewer connections than `limits.connections_max`: raise it (`ulimit -Hn`, \
             LimitNOFILE= of systemd, --ulimit nofile= of a container) or lower `limits.connections_max`"
        );
    }
}

/// An eighth, within bounds, and at most half.
fn kept(files: u64) -> u64 {
    (files / 8).clamp(KEPT.0, KEPT.1).min(files / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn some_files_are_always_kept() {
        let limits = Config::default().limits;
        let cases = [
            (0, 0),
            (64, 32),
            (256, 160),
            (1_024, 896),
            (4_096, 3_584),
            (1 << 20, 20_096),
        ];
        for (files, expected) in cases {
            assert_eq!(connections(files, &limits), expected, "{files}");
        }
    }
}
