//! End-to-end tests, one module for each behaviour. They are one program: each would link the whole client
//! once more.

mod accounts;
mod chat;
mod clocks;
mod closing;
mod cluster;
mod copies;
mod disk;
mod drain;
mod edge;
mod erasing;
mod g10_g11_hostile;
mod g1_kill;
mod g2_resend;
mod g5_switch;
mod g8_copies;
mod g8_time;
mod mongodb;
mod new_accounts;
mod operate;
mod plain;
mod positions;
mod proxies;
mod roles;
mod safety_handshakes;
mod safety_matrix;
mod safety_proof;
mod safety_tokens;
mod safety_trace;
mod stop;
mod two_installations;
mod unstored;
mod wire;
