//! The cases under criterion: `cargo bench --package nowrong-micro`.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, criterion_group, criterion_main};
use nowrong_micro::CASES;

/// Operations of one measurement: the set-up of a case must not count.
const OPERATIONS: u32 = 1_000;

fn micro(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("1000 operations");
    for case in CASES {
        group.bench_function(case.name, |bencher| {
            bencher.iter(|| (case.run)(OPERATIONS));
        });
    }
    group.finish();
}

criterion_group!(benches, micro);
criterion_main!(benches);
