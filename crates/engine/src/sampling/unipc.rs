use super::Walk;
use crate::EngineError;

/// What UniPC's `B(h)` is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// `h`
    Bh1,
    /// `exp(h) - 1`
    Bh2,
}

/// A look at the picture: the negated logarithm of the noise level, and what the model saw.
type Look = (f64, Vec<f32>);

/// UniPC, a predictor and a corrector in one (Zhao et al. 2023, algorithms 5 to 8, predicting the picture), as its
/// authors' code runs it in AUTOMATIC1111 and ComfyUI: of up to the third order, lower at both ends.
pub(super) fn unipc(walk: &mut Walk<'_>, mut x: Vec<f32>, basis: Basis) -> Result<Vec<f32>, EngineError> {
    let (steps, most) = (walk.plan.steps(), walk.plan.order());
    let mut looks: Vec<Look> = Vec::new(); // the newest last
    for (i, sigma, next) in walk.levels() {
        if looks.is_empty() {
            let denoised = walk.denoised(&x, sigma)?;
            looks.push((-f64::from(sigma).ln(), denoised));
        }
        if let Some((_, denoised)) = looks.last() {
            walk.report(i, denoised)?;
        }
        let order = most.min(looks.len()).min(steps - i).max(1);
        let time = -f64::from(next).ln();
        let predicted = step(&x, &looks, order, time, None, basis);
        x = if i + 1 == steps {
            predicted
        } else {
            let denoised = walk.denoised(&predicted, next)?;
            let corrected = step(&x, &looks, order, time, Some(&denoised), basis);
            looks.push((time, denoised));
            if looks.len() > most {
                looks.remove(0);
            }
            corrected
        };
    }
    Ok(x)
}

/// A step from the newest look to `time`; with what was seen there it is the corrector's.
fn step(x: &[f32], looks: &[Look], order: usize, time: f64, seen: Option<&[f32]>, basis: Basis) -> Vec<f32> {
    let Some(((now, newest), earlier)) = looks.split_last() else { return x.to_vec() };
    let length = time - now;
    let towards = -(-length).exp_m1();
    let scale = match basis {
        Basis::Bh1 => length,
        Basis::Bh2 => towards,
    };
    // where the other looks are, in steps from the newest
    let others: Vec<(f64, &[f32])> =
        earlier.iter().rev().take(order - 1).map(|(at, seen)| ((at - now) / length, seen.as_slice())).collect();
    let places: Vec<f64> = others.iter().map(|(place, _)| *place).chain(seen.map(|_| 1.0)).collect();
    let looks_there = others.iter().map(|(_, seen)| *seen).chain(seen);
    let weights = weights(&places, length, scale);
    let mut result: Vec<f32> =
        x.iter().zip(newest).map(|(x, seen)| (-length).exp() as f32 * x + towards as f32 * seen).collect();
    for ((place, weight), there) in places.iter().zip(weights).zip(looks_there) {
        let weight = (scale * weight / place) as f32;
        for ((value, there), newest) in result.iter_mut().zip(there).zip(newest) {
            *value += weight * (there - newest);
        }
    }
    result
}

/// The weights with which differences at `places` stand for the integral; for a single one the authors' 1/2.
fn weights(places: &[f64], length: f64, scale: f64) -> Vec<f64> {
    if places.len() < 2 {
        return vec![0.5; places.len()];
    }
    // phi(1), phi(2)… of -length, each times its factorial
    let h = -length;
    let (mut phi, mut factorial) = (h.exp_m1() / h - 1.0, 1.0);
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for power in 0..places.len() {
        let mut row: Vec<f64> = places.iter().map(|place| place.powi(power as i32)).collect();
        row.push(phi * factorial / -scale);
        rows.push(row);
        factorial *= (power + 2) as f64;
        phi = phi / h - 1.0 / factorial;
    }
    solve(rows)
}

/// Solves linear equations, given with their right sides, by elimination with pivots.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let count = rows.len();
    for column in 0..count {
        let pivot = (column..count).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()));
        rows.swap(column, pivot.unwrap_or(column));
        let of = rows[column].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(i, _)| *i != column) {
            let factor = row[column] / of[column];
            row.iter_mut().zip(&of).for_each(|(value, of)| *value -= factor * of);
        }
    }
    rows.iter().enumerate().map(|(i, row)| row[count] / row[i]).collect()
}
