//! What the weights of a prompt's words do to its encoded form.

/// AUTOMATIC1111's formula: each position times its weight. With `keep_mean`, everything is then multiplied by one
/// number, so that the mean of all features of all texts is what it was; `texts` are those that one schedule encodes
/// together, with the number of times that each one counts.
///
/// # Shapes
/// - hidden: `[77, width]` for each text; weights: 77 for each
pub(crate) fn multiply(texts: &mut [Weighted<'_>], keep_mean: bool) {
    if texts.iter().all(|text| text.weights.iter().all(|weight| *weight == 1.0)) {
        return;
    }
    let sum = |texts: &[Weighted<'_>]| -> f64 {
        let sum = |text: &Weighted<'_>| text.hidden.iter().map(|value| f64::from(*value)).sum::<f64>();
        texts.iter().map(|text| sum(text) * text.count as f64).sum()
    };
    let before = sum(texts);
    for text in texts.iter_mut() {
        for (position, weight) in rows(text.hidden, text.weights) {
            position.iter_mut().for_each(|value| *value *= weight);
        }
    }
    let ratio = (before / sum(texts)) as f32;
    if keep_mean && ratio.is_finite() {
        texts.iter_mut().for_each(|text| text.hidden.iter_mut().for_each(|value| *value *= ratio));
    }
}

/// One text's part in [`multiply`].
pub(crate) struct Weighted<'a> {
    pub(crate) hidden: &'a mut [f32],
    pub(crate) weights: &'a [f32],
    pub(crate) count: usize,
}

/// ComfyUI's formula: each position that has a weight is moved along the line from the same position of an empty
/// prompt.
///
/// # Shapes
/// - hidden, empty: `[77, width]`; weights: 77
pub(crate) fn move_from(empty: &[f32], hidden: &mut [f32], weights: &[f32]) {
    let width = hidden.len() / weights.len().max(1);
    for ((position, weight), empty) in rows(hidden, weights).zip(empty.chunks(width.max(1))) {
        if weight != 1.0 {
            position.iter_mut().zip(empty).for_each(|(value, empty)| *value = (*value - empty) * weight + empty);
        }
    }
}

fn rows<'a>(hidden: &'a mut [f32], weights: &'a [f32]) -> impl Iterator<Item = (&'a mut [f32], f32)> {
    let width = hidden.len() / weights.len().max(1);
    hidden.chunks_mut(width.max(1)).zip(weights.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_that_of_all_texts_of_a_schedule() {
        let (mut one, mut other) = ([1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 2.0, 2.0]);
        let mut texts = [
            Weighted { hidden: &mut one, weights: &[1.0, 2.0], count: 3 },
            Weighted { hidden: &mut other, weights: &[1.0, 1.0], count: 1 },
        ];
        multiply(&mut texts, true);
        let ratio = (3.0 * 10.0 + 8.0) / (3.0 * 17.0 + 8.0);
        assert_eq!(one, [1.0, 2.0, 6.0, 8.0].map(|value: f32| value * ratio));
        assert_eq!(other, [2.0 * ratio; 4]);
    }

    #[test]
    fn plain_words_keep_their_bits() {
        let mut hidden = [0.1, -0.3, 0.7, f32::MIN_POSITIVE];
        multiply(&mut [Weighted { hidden: &mut hidden, weights: &[1.0, 1.0], count: 1 }], true);
        assert_eq!(hidden, [0.1, -0.3, 0.7, f32::MIN_POSITIVE]);
        move_from(&[1.0, 1.0, 1.0, 3.0], &mut hidden, &[1.0, 0.5]);
        assert_eq!(hidden, [0.1, -0.3, 0.85, 1.5]);
    }
}
