//! The nodes' own metrics: histograms of Prometheus' text format. Pure, except [`read`].

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// One histogram: how many values were at most this long, by the upper bound in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets(Vec<(f64, u64)>);

impl Buckets {
    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.0.last().map_or(0, |(_, count)| *count)
    }

    /// An upper bound, in seconds, of the fastest `share` of all values; infinite when it is beyond
    /// the last bucket.
    pub fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let bucket = self.0.iter().find(|(_, count)| *count >= wanted);
        bucket.map_or(0.0, |(bound, _)| *bound)
    }

    fn add(&mut self, bound: f64, count: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, sum)) => *sum += count,
            None => {
                self.0.push((bound, count));
                self.0.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            }
        }
    }
}

/// The histograms called `name` in the texts of all nodes together, by the value of `label`.
pub fn histograms(texts: &[String], name: &str, label: &str) -> BTreeMap<String, Buckets> {
    let mut all: BTreeMap<String, Buckets> = BTreeMap::new();
    let prefix = format!("{name}_bucket{{");
    for line in texts.iter().flat_map(|text| text.lines()) {
        let Some((labels, count)) = line
            .strip_prefix(&prefix)
            .and_then(|rest| rest.split_once('}'))
        else {
            continue;
        };
        let value = |wanted: &str| {
            let mut labels = labels.split(',').filter_map(|label| label.split_once('='));
            let found = labels.find(|(key, _)| key.trim() == wanted);
            found.map(|(_, value)| value.trim_matches('"'))
        };
        let (Some(key), Some(Ok(bound)), Ok(count)) = (
            value(label),
            value("le").map(|bound| bound.replace('+', "").parse::<f64>()),
            count.trim().parse(),
        ) else {
            continue;
        };
        all.entry(key.to_owned()).or_default().add(bound, count);
    }
    all
}

/// The text that a node returns at `/metrics` on this port.
///
/// # Errors
/// When it does not answer.
pub async fn read(port: u16) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "no metrics: {answer}");
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_all_nodes_are_added() {
        let text = |slow: u64| {
            format!(
                "# TYPE calls histogram\n\
                 calls_bucket{{call=\"append\",le=\"0.001\"}} 90\n\
                 calls_bucket{{call=\"append\",le=\"0.01\"}} 98\n\
                 calls_bucket{{call=\"append\",le=\"+Inf\"}} {slow}\n\
                 calls_bucket{{call=\"user\",le=\"+Inf\"}} 0\n\
                 calls_count{{call=\"append\"}} 100\n"
            )
        };
        let all = histograms(&[text(98), text(98)], "calls", "call");
        let append = &all["append"];
        assert_eq!(
            (append.count(), append.quantile(0.5), append.quantile(0.99)),
            (196, 0.001, 0.01)
        );
        assert_eq!(all["user"].quantile(0.99), f64::INFINITY);
        let slow = histograms(&[text(100)], "calls", "call");
        assert_eq!(slow["append"].quantile(0.99), f64::INFINITY);
    }
}
