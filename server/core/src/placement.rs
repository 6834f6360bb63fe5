//! Which node a client is sent to.

use crate::node::{NodeId, NodeView};

/// Chooses a node that accepts clients: the first of `wished` that does, otherwise the less loaded
/// of two nodes picked by the `dice`, any two random numbers.
///
/// Loads are up to a second old: if everyone were sent to the least loaded node, it would get all
/// clients that arrive in that second. Two choices still keep the nodes even (Mitzenmacher, "The
/// Power of Two Choices in Randomized Load Balancing", 2001). `None` when no node accepts clients.
pub fn choose<'a>(
    nodes: &'a [NodeView],
    wished: &[NodeId],
    dice: [u32; 2],
) -> Option<&'a NodeView> {
    let open: Vec<_> = nodes.iter().filter(|node| node.takes_clients()).collect();
    let is_open = |id: &NodeId| open.iter().find(|node| node.id == *id);
    if let Some(node) = wished.iter().find_map(is_open) {
        return Some(node);
    }
    let [one, other] = dice.map(|number| (number as usize).checked_rem(open.len()));
    let [one, other] = [open[one?], open[other?]];
    Some(if other.connected < one.connected {
        other
    } else {
        one
    })
}

#[cfg(test)]
mod tests {
    use crate::node::{NodeEndpoint, NodeStatus};

    use super::*;

    fn node(number: u8, connected: u32) -> NodeView {
        NodeView {
            id: NodeId([number; 8]),
            connected,
            status: NodeStatus {
                endpoint: NodeEndpoint {
                    websocket: format!("wss://{number}.example/v1/websocket"),
                    ..NodeEndpoint::default()
                },
                capacity: 1_000,
                is_draining: false,
            },
        }
    }

    fn chosen(nodes: &[NodeView], wished: &[u8], dice: [u32; 2]) -> Option<u8> {
        let wished: Vec<_> = wished.iter().map(|number| NodeId([*number; 8])).collect();
        choose(nodes, &wished, dice).map(|node| node.id.0[0])
    }

    #[test]
    fn the_less_loaded_of_two_is_chosen() {
        let nodes = [node(0, 7), node(1, 3), node(2, 5)];
        assert_eq!(chosen(&nodes, &[], [0, 1]), Some(1));
        assert_eq!(chosen(&nodes, &[], [1, 0]), Some(1));
        assert_eq!(chosen(&nodes, &[], [2, 3]), Some(2), "dice of any size");
        assert_eq!(chosen(&nodes, &[], [u32::MAX, 0]), Some(0), "0 twice");
    }

    #[test]
    fn the_first_open_node_that_is_wished_for_comes_before_all_others() {
        let mut nodes = [node(0, 7), node(1, 3), node(2, 5)];
        assert_eq!(chosen(&nodes, &[0, 2], [1, 1]), Some(0));
        nodes[0].status.is_draining = true;
        assert_eq!(chosen(&nodes, &[0, 2], [1, 1]), Some(2));
        assert_eq!(chosen(&nodes, &[0, 9], [0, 0]), Some(1), "no such node");
    }

    #[test]
    fn a_node_that_drains_or_is_full_or_takes_no_clients_gets_none() {
        let mut nodes = [node(0, 0), node(1, 9), node(2, 1_000)];
        nodes[0].status.is_draining = true;
        assert_eq!(chosen(&nodes, &[], [0, 0]), Some(1));
        assert_eq!(chosen(&nodes, &[2], [0, 0]), Some(1), "full");
        nodes[1].status.endpoint = NodeEndpoint::default();
        assert_eq!(chosen(&nodes, &[1], [0, 1]), None);
        assert_eq!(chosen(&[], &[], [0, 1]), None);
    }

    #[test]
    fn many_who_come_on_old_news_do_not_all_land_on_one_node() {
        let nodes = [node(0, 100), node(1, 99), node(2, 98), node(3, 97)];
        let mut counts = [0; 4];
        for one in 0..4 {
            for other in 0..4 {
                counts[usize::from(chosen(&nodes, &[], [one, other]).unwrap())] += 1;
            }
        }
        assert_eq!(
            counts,
            [1, 3, 5, 7],
            "of 16, the least loaded gets less than half"
        );
    }
}
