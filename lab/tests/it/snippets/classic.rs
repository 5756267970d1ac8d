CircuitBreaker::builder("payments")
    .window(Window::count(5))
    .trip_when(TripPolicy::classic())
    .build()?
