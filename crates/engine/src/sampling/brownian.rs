use super::seed_sequence::first_word;
use crate::RandomSource;

/// A path of Brownian motion that depends on its seed and range alone, not on the points it is asked for: the same
/// points of the same path whatever the number of steps.
///
/// It is torchsde's `BrownianTree` with the tolerance 1e-6, which k-diffusion's SDE samplers use, number for number:
/// halves of halves, each from a seed of its own, down to points rounded to six decimals.
pub struct BrownianTree {
    source: RandomSource,
    entropy: u64,
    top: Node,
}

/// A stretch of the path.
struct Node {
    start: f64,
    end: f64,
    /// How far the path goes from start to end.
    increment: Vec<f32>,
    key: u64,
    depth: u64,
}

impl BrownianTree {
    /// A path of `count` numbers from `start` to `end`.
    pub fn new(source: RandomSource, entropy: u64, count: usize, start: f64, end: f64) -> Self {
        let scale = (end - start).max(0.0).sqrt() as f32;
        let mut increment = source.generator(first_word(entropy, &[]).into()).normal(count);
        increment.iter_mut().for_each(|value| *value *= scale);
        let top = Node { start: rounded(start), end: rounded(end), increment, key: 0, depth: 0 };
        Self { source, entropy, top }
    }

    /// Unit noise for the step from one noise level to another (k-diffusion's `BrownianTreeNoiseSampler`): nothing when
    /// both are the same.
    pub fn noise(&self, from: f32, to: f32) -> Vec<f32> {
        let (low, high, sign) = if from < to { (from, to, 1.0) } else { (to, from, -1.0) };
        let within = |at: f32| rounded(f64::from(at).clamp(self.top.start, self.top.end));
        let mut total = vec![0.0; self.top.increment.len()];
        self.add(&self.top, within(low), within(high), &mut total);
        let scale = (to - from).abs().sqrt();
        if scale > 0.0 {
            total.iter_mut().for_each(|value| *value = *value * sign / scale);
        }
        total
    }

    /// Adds the increment from `from` to `to`, which lie within `node`, to `total`.
    fn add(&self, node: &Node, from: f64, to: f64, total: &mut [f32]) {
        if from >= to {
            return;
        }
        if from == node.start && to == node.end {
            total.iter_mut().zip(&node.increment).for_each(|(total, value)| *total += value);
            return;
        }
        let middle = 0.5 * (node.end + node.start);
        let split = rounded(middle);
        if !(node.start < split && split < node.end) {
            return; // shorter than the tolerance
        }
        let left = self.left(node, split);
        if to > split {
            let increment = node.increment.iter().zip(&left).map(|(whole, left)| whole - left).collect();
            let right = Node { start: split, end: node.end, increment, key: 2 * node.key + 1, depth: node.depth + 1 };
            if from < split {
                let left =
                    Node { start: node.start, end: split, increment: left, key: 2 * node.key, depth: node.depth + 1 };
                self.add(&left, from, split, total);
                self.add(&right, split, to, total);
            } else {
                self.add(&right, from, to, total);
            }
        } else {
            let left =
                Node { start: node.start, end: split, increment: left, key: 2 * node.key, depth: node.depth + 1 };
            self.add(&left, from, to, total);
        }
    }

    /// The increment of a node's first part: a Brownian bridge.
    fn left(&self, node: &Node, split: f64) -> Vec<f32> {
        let per_length = 1.0 / (node.end - node.start);
        let (before, after) = (split - node.start, node.end - split);
        let deviation = (before * after * per_length).sqrt() as f32;
        let (before, per_length) = (before as f32, per_length as f32);
        let seed = first_word(self.entropy, &[node.key, node.depth]);
        let noise = self.source.generator(seed.into()).normal(node.increment.len());
        let mean = node.increment.iter().map(|whole| before * whole * per_length);
        mean.zip(noise).map(|(mean, noise)| mean + deviation * noise).collect()
    }
}

/// The number rounded to six decimals.
fn rounded(number: f64) -> f64 {
    format!("{number:.6}").parse().unwrap_or(number)
}
