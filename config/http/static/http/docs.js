// Shows the OpenAPI document in Swagger UI. Requests that are tried out use the browser's login.
"use strict";

const element = document.getElementById("swagger-ui");
const csrfToken = document.querySelector("meta[name=csrf-token]");

SwaggerUIBundle({
  url: element.dataset.document,
  domNode: element,
  presets: [SwaggerUIBundle.presets.apis],
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
