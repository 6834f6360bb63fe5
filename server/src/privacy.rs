//! Types that keep secrets and addresses out of logs.
