"""The dashboards as web pages: warm kernels, sign-in, what a browser may say to a kernel, and the server itself."""
