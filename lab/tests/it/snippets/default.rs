CircuitBreaker::builder("payments")
    .build()?
