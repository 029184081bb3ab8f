//! The steps between matrix products, each one pass over its rows.
//!
//! candle's own element-wise operations share one pool of spinning threads per process, on which
//! our workers would wait for each other, and its error function is evaluated number by number.
//! These work in place, on the calling thread, and in a form compilers turn into vector code.

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, InplaceOp3, Layout, Result, bail};

/// Adds a row to every row.
pub(super) struct AddRow;

impl InplaceOp2 for AddRow {
    fn name(&self) -> &'static str {
        "add-row"
    }

    fn cpu_fwd(
        &self,
        rows: &mut CpuStorage,
        rows_layout: &Layout,
        row: &CpuStorage,
        row_layout: &Layout,
    ) -> Result<()> {
        let row = values(row, row_layout)?;
        for values in values_mut(rows, rows_layout)?.chunks_exact_mut(row.len()) {
            for (value, add) in values.iter_mut().zip(row) {
                *value += add;
            }
        }
        Ok(())
    }
}

/// Adds a row to every row, then applies the Gaussian error linear unit.
pub(super) struct AddRowGelu;

impl InplaceOp2 for AddRowGelu {
    fn name(&self) -> &'static str {
        "add-row-gelu"
    }

    fn cpu_fwd(
        &self,
        rows: &mut CpuStorage,
        rows_layout: &Layout,
        row: &CpuStorage,
        row_layout: &Layout,
    ) -> Result<()> {
        let row = values(row, row_layout)?;
        for values in values_mut(rows, rows_layout)?.chunks_exact_mut(row.len()) {
            for (value, add) in values.iter_mut().zip(row) {
                *value = gelu(*value + add);
            }
        }
        Ok(())
    }
}

/// Turns each row of so many scores into shares that add up to one.
pub(super) struct Softmax {
    pub(super) row_len: usize,
}

impl InplaceOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax-rows"
    }

    fn cpu_fwd(&self, scores: &mut CpuStorage, layout: &Layout) -> Result<()> {
        for row in values_mut(scores, layout)?.chunks_exact_mut(self.row_len) {
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for score in &mut *row {
                *score = exp(*score - max);
            }
            let scale = 1.0 / row.iter().sum::<f32>();
            for share in row {
                *share *= scale;
            }
        }
        Ok(())
    }
}

/// `norm(rows + bias + residual)`; the third operand's rows are the bias, the norm's gain and
/// its shift.
pub(super) struct ResidualNorm {
    pub(super) epsilon: f32,
}

impl InplaceOp3 for ResidualNorm {
    fn name(&self) -> &'static str {
        "residual-norm"
    }

    fn cpu_fwd(
        &self,
        rows: &mut CpuStorage,
        rows_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
    ) -> Result<()> {
        let parameters = values(parameters, parameters_layout)?;
        let width = parameters.len() / 3;
        let (bias, norm) = parameters.split_at(width);
        let (gain, shift) = norm.split_at(width);
        let rows = values_mut(rows, rows_layout)?.chunks_exact_mut(width);
        let residual = values(residual, residual_layout)?.chunks_exact(width);
        for (row, residual) in rows.zip(residual) {
            for ((value, bias), residual) in row.iter_mut().zip(bias).zip(residual) {
                *value += bias + residual;
            }
            norm_row(row, gain, shift, self.epsilon);
        }
        Ok(())
    }
}

/// Layer normalisation of one row.
pub(super) fn norm_row(row: &mut [f32], gain: &[f32], shift: &[f32], epsilon: f32) {
    let count = row.len() as f32;
    let mean = row.iter().sum::<f32>() / count;
    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for ((value, gain), shift) in row.iter_mut().zip(gain).zip(shift) {
        *value = (*value - mean) * scale * gain + shift;
    }
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let all = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets().and_then(|(a, b)| all.get(a..b)) {
        Some(values) if !values.is_empty() => Ok(values),
        _ => bail!("operand is empty or not contiguous"),
    }
}

fn values_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let CpuStorage::F32(all) = storage else {
        bail!("operand is not f32");
    };
    let values = layout.contiguous_offsets().and_then(|(a, b)| all.get_mut(a..b));
    match values {
        Some(values) => Ok(values),
        None => bail!("operand is not contiguous"),
    }
}

/// `x` times the probability that a standard normal number is below `x`.
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The error function to 1.5e-7 (Abramowitz and Stegun, 7.1.26): as exact as `f32` near one, and
/// without branches.
fn erf(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let poly = t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    (1.0 - poly * exp(-size * size)).copysign(x)
}

/// The exponential to a relative 2e-7, for arguments of at most 88; 0 for very negative ones.
fn exp(x: f32) -> f32 {
    /// Adding it moves a number's whole part into the lowest bits of the mantissa.
    const SHIFTER: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.max(-87.0);
    let shifted = x * std::f32::consts::LOG2_E + SHIFTER;
    let whole = shifted - SHIFTER;
    let rest = x - whole * LN_2_HIGH - whole * LN_2_LOW;
    let poly = 1.0
        + rest
            * (1.0
                + rest
                    * (0.5
                        + rest
                            * (0.166_666_66 + rest * (0.041_665_795 + rest * (0.008_333_452 + rest * 0.001_398_2)))));
    // 127 is the exponent's bias; the shift drops all bits that are not the exponent.
    poly * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

#[cfg(test)]
mod tests {
    use super::{erf, exp, gelu, norm_row};

    #[test]
    fn exp_is_exact_enough_over_its_range() {
        let mut x = -86.0_f32;
        while x < 88.0 {
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 5e-7, "exp({x}) is off by {error}");
            x += 0.0137;
        }
        assert!(exp(-1000.0) < 1e-37);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn erf_and_gelu_match_known_values() {
        for (x, known) in [(0.0, 0.0), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (-2.0, -0.995_322_3), (9.0, 1.0)] {
            assert!((erf(x) - known).abs() < 5e-7, "erf({x})");
        }
        for (x, known) in [(0.0, 0.0), (1.0, 0.841_344_7), (-1.0, -0.158_655_3), (3.0, 2.995_950_3), (-20.0, 0.0)] {
            assert!((gelu(x) - known).abs() < 2e-6, "gelu({x})");
        }
    }

    #[test]
    fn a_normed_row_has_mean_zero_and_variance_one() {
        let mut row = [1.0, 2.0, 3.0, 6.0];
        norm_row(&mut row, &[1.0; 4], &[0.0; 4], 1e-12);
        assert!(row.iter().sum::<f32>().abs() < 1e-6);
        assert!((row.iter().map(|x| x * x).sum::<f32>() / 4.0 - 1.0).abs() < 1e-6);
    }
}
