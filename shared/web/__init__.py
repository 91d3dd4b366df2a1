"""HTTP as all our services speak it: one application factory, its limits, problem answers, cookies and health."""
