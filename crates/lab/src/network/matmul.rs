//! Matrix product on strided f32 slices, on the calling thread only.
//!
//! The one place of this crate that is unsafe: the kernel takes raw pointers. Every reach is
//! checked against its slice first. No thread pool is involved, so results are bit-identical
//! whatever else the machine does, and two trainings keep one core each.

use gemm::Parallelism;

/// A matrix inside a slice: element (i, j) lies at `i * row_stride + j * column_stride`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl View {
    /// Row-major, dense.
    pub(crate) fn dense(rows: usize, columns: usize) -> Self {
        Self { rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// Row-major with rows `row_stride` apart.
    pub(crate) fn strided(rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { rows, columns, row_stride, column_stride: 1 }
    }

    /// The transpose of the same elements.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// Elements that the slice must have.
    fn reach(self) -> usize {
        if self.rows == 0 || self.columns == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }
}

/// What becomes of the old contents of the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Into {
    /// Overwritten.
    Set,
    /// Added to.
    Add,
}

/// `c = scale · a b` or `c += scale · a b`.
///
/// # Panics
/// If the shapes don't fit each other or a slice is too short: both are errors of this crate.
#[expect(unsafe_code, reason = "the kernel takes raw pointers; reach is checked above the call")]
pub(crate) fn matmul(
    (a, va): (&[f32], View),
    (b, vb): (&[f32], View),
    (c, vc): (&mut [f32], View),
    scale: f32,
    into: Into,
) {
    assert!(va.columns == vb.rows && va.rows == vc.rows && vb.columns == vc.columns, "shapes");
    assert!(a.len() >= va.reach() && b.len() >= vb.reach() && c.len() >= vc.reach(), "slices");
    let stride = |s: usize| isize::try_from(s).unwrap_or(isize::MAX);
    // SAFETY: the three assertions above bound every address that the kernel computes; `c` is
    // borrowed mutably, so it overlaps neither `a` nor `b`; views of `c` never alias themselves
    // (row stride ≥ columns or the transpose of such a view).
    unsafe {
        gemm::gemm(
            vc.rows,
            vc.columns,
            va.columns,
            c.as_mut_ptr(),
            stride(vc.column_stride),
            stride(vc.row_stride),
            into == Into::Add,
            a.as_ptr(),
            stride(va.column_stride),
            stride(va.row_stride),
            b.as_ptr(),
            stride(vb.column_stride),
            stride(vb.row_stride),
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
