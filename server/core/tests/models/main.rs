//! Models of what several nodes do together, checked in every state they can reach.
//!
//! The pure crates decide what one node does. What happens when several nodes, a Redis that forgets
//! and a store that answers late meet in the wrong order is too much for examples, so it is modelled
//! and searched: every order of steps, with crashes, failovers and messages that arrive late.
//!
//! | model | of | promises |
//! |---|---|---|
//! | [`message_log`] | the log of a chat: positions, durability, epochs, resume | G1-G5 |
//! | [`matcher`] | the queue, offers, seats, leases | G6, G7 |
//!
//! A model is a copy of the protocol, not of the code. What ties the two together: a step of an
//! adapter names its action, and `chat_log::resume_point` and `locate` are the real ones.
//!
//! Run them with `cargo test -p nowrong-core --test models -- --nocapture`: each test prints how
//! many states it has visited. A broken property prints the shortest sequence of actions that breaks
//! it. To change the protocol, change the model first; to trust a rule, look for the test that
//! switches it off. Start reading at [`message_log`]; the search itself is in [`checker`].

#[cfg(test)]
mod checker;
#[cfg(test)]
mod matcher;
#[cfg(test)]
mod message_log;
