/// Whether a prediction without the prompt is needed: not when guidance would cancel it out.
///
/// `weights` are those of the prompt's parts (joined with `AND`), usually a single 1.
pub fn needs_negative(weights: &[f32], scale: f32) -> bool {
    (weights.iter().sum::<f32>() * scale - 1.0).abs() > 1e-6
}

/// Classifier-free guidance (Ho and Salimans 2021) over the predictions `parts` for a prompt's parts, each with its
/// weight, away from that of the negative prompt: `negative + Σ weight * scale * (part - negative)`.
///
/// `rescale` of 0 to 1 brings the result's spread back to that of the unguided one (Lin et al. 2024, section 3.4), which
/// models with zero terminal signal need at large scales.
pub fn guide(parts: &[(f32, &[f32])], negative: Option<&[f32]>, scale: f32, rescale: f32) -> Vec<f32> {
    let Some(negative) = negative else { return weighted(parts, None, scale) };
    let mut guided = weighted(parts, Some(negative), scale);
    if rescale > 0.0 {
        let (wanted, found) = (spread(&weighted(parts, Some(negative), 1.0)), spread(&guided));
        if found > 0.0 {
            let factor = (f64::from(rescale) * wanted / found + 1.0 - f64::from(rescale)) as f32;
            guided.iter_mut().for_each(|value| *value *= factor);
        }
    }
    guided
}

fn weighted(parts: &[(f32, &[f32])], negative: Option<&[f32]>, scale: f32) -> Vec<f32> {
    let length = parts.first().map_or(0, |(_, part)| part.len());
    let at = |i: usize| {
        let from = negative.and_then(|negative| negative.get(i)).copied().unwrap_or(0.0);
        parts.iter().fold(from, |sum, (weight, part)| sum + (part[i] - from) * (weight * scale))
    };
    (0..length).map(at).collect()
}

/// The standard deviation.
fn spread(values: &[f32]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    (values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_pull_by_weight_and_scale() {
        let (first, second, negative) = ([1.0, 2.0], [3.0, 0.0], [1.0, 1.0]);
        assert_eq!(guide(&[(1.0, &first)], Some(&negative), 7.0, 0.0), [1.0, 8.0]);
        assert_eq!(guide(&[(0.5, &first), (1.0, &second)], Some(&negative), 2.0, 0.0), [5.0, 0.0]);
        assert_eq!(guide(&[(1.0, &first)], None, 1.0, 0.0), first);
        assert!(needs_negative(&[1.0], 7.0) && needs_negative(&[1.0, 1.0], 1.0) && needs_negative(&[1.0], 0.5));
        assert!(!needs_negative(&[1.0], 1.0) && !needs_negative(&[0.5, 0.5], 1.0));
    }

    #[test]
    fn rescaling_restores_the_spread() {
        let (part, negative) = ([1.0, 3.0], [0.0, 0.0]);
        assert_eq!(guide(&[(1.0, &part)], Some(&negative), 4.0, 1.0), part);
        assert_eq!(guide(&[(1.0, &part)], Some(&negative), 4.0, 0.5), [2.5, 7.5]);
        assert_eq!(guide(&[(1.0, &negative)], Some(&negative), 4.0, 0.5), negative);
    }
}
