// Shows the OpenAPI document in Swagger UI. Requests that are tried out use the browser's login.
"use strict";

const element = document.getElementById("swagger-ui");
const csrfToken = document.querySelector("meta[name=csrf-token]");

// Swagger UI puts a link with the path into the button of each operation, which no screen reader
// announces rightly. The path is text here; opening an operation still changes the address.
const pathsAreText = {
  wrapComponents: {
    // Requests are tried out at the address of this page; the list of servers has no label.
    ServersContainer: () => () => null,
    DeepLink:
      (_original, { React }) =>
      ({ text }) =>
        React.createElement("span", null, text),
  },
};

SwaggerUIBundle({
  url: element.dataset.document,
  domNode: element,
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [pathsAreText],
  layout: "BaseLayout",
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (csrfToken && new URL(request.url, location.href).origin === location.origin) {
      request.headers["X-CSRFToken"] = csrfToken.content;
    }
    return request;
  },
});
