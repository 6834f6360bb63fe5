//! Models of what several nodes do together, checked in every state they can reach.
//!
//! The pure crates decide what one node does. The interplay of several nodes, a Redis that forgets
//! and a store that replies late is too much for examples, so it is modelled and searched: every
//! order of steps, with crashes, failovers and messages that arrive late.
//!
//! | model | of | promises |
//! |---|---|---|
//! | [`message_log`] | the log of a chat: positions, durability, epochs, resume | G1-G5 |
//! | [`matcher`] | the queue, offers, seats, leases | G6, G7 |
//! | [`clocks`] | nodes, machines and a store whose clocks differ, jump and stand still | G8 |
//!
//! A model is a copy of the protocol, not of the code. Two things tie them together: each step of
//! an adapter names its action, and the model uses the real `chat_log::resume_point` and `locate`.
//!
//! Run them with `cargo test -p nowrong-core --test models -- --nocapture`: each test prints how
//! many states it has visited. A broken property prints the shortest sequence of actions that breaks
//! it. To change the protocol, change the model first; to trust a rule, look for the test that
//! switches it off. Start reading at [`message_log`]; the search itself is in [`checker`].

#[cfg(test)]
mod checker;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod matcher;
#[cfg(test)]
mod message_log;
