CircuitBreaker::builder("payments")
    .window(Window::count(100))
    .trip_when(TripPolicy::failure_rate(0.25))
    .build()?
